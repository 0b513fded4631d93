"""The page of runs. Needs the built trainer and matplotlib."""
import html
import html.parser
import math
import os
import re
import unittest
import xml.etree.ElementTree

from carat import places
from support import FileTestCase

try:
    import matplotlib
    from carat.reporting.page import exact_sign_test
except ImportError:
    matplotlib = None

SMALL = ("--layers 1,1,1 --hidden-size 8 --heads 2 --feed-forward-size 8 --latent-size 4 --queue-size 64 "
         "--batch-size 8 --epochs 3 --workers 1 --quiet --lr 1e-2").split()
GENERATED = ("--samples", "64,24,24")


class Page(html.parser.HTMLParser):
    """Headings, cells of tables, and what the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list = []
        self.cells: list = []
        self.fetched: list = []
        self._within: list = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self._within.append(tag)
        self.fetched += [v for k, v in attributes if k in ("src", "href") and tag in ("img", "script", "link", "iframe")]

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._within and self._within[-1] in ("h1", "h2"):
            self.headings.append(data)
        if self._within and self._within[-1] in ("td", "th"):
            self.cells.append(data)


@unittest.skipIf(matplotlib is None, "no matplotlib")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class ReportTests(FileTestCase):
    def train(self, name: str, *more: str) -> None:
        import subprocess
        done = subprocess.run([places.train(), "run", "--output", self.path(name), *SMALL, *more], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def report(self, *arguments: str) -> str:
        done = self.run_script("report", *arguments, "-o", self.path("r.html"), "--force")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.strip(), self.path("r.html"))
        with open(self.path("r.html"), encoding="utf-8") as file:
            return file.read()

    def test_pages(self) -> None:
        import json
        self.train("a<b>", *GENERATED)
        self.train("other", "--seed", "2", "--data", self.path("a<b>/data"))
        with open(self.path("a<b>/result.json"), encoding="utf-8") as file:
            result = json.load(file)
        text = self.report(self.path("a<b>"))
        page = Page(text)
        self.assertEqual(page.headings[0], "CARAT: a<b>")
        for heading in ("Results", "Validation by epoch", "Labels of the test split", "Precision and recall",
                        "Labels that come together", "Terms of the loss", "Run"):
            self.assertIn(heading, page.headings)
        self.assertIn(f"{result['test']['micro_f1']:.4f}", page.cells)
        for name, f1 in result["test"]["label_f1"].items():
            self.assertIn(name, page.cells)
            self.assertIn(f"{f1:.4f}", page.cells)
        self.assertIn(result["digest"], text)
        for value in (*result["environment"].values(), result["time"]):
            self.assertIn(html.escape(value), text)
        # Nothing is fetched; every figure is well-formed, and its ids are its own.
        self.assertEqual(page.fetched, [])
        figures = re.findall(r"<svg.*?</svg>", text, re.S)
        self.assertEqual(len(figures), 4)
        ids: list = []
        for figure in figures:
            root = xml.etree.ElementTree.fromstring(figure)
            own = [e.get("id") for e in root.iter() if e.get("id")]
            ids += own
            used = re.findall(r'(?:xlink:href="|url\()#([^")]+)', figure)
            self.assertTrue(set(used) <= set(own), set(used) - set(own))
            self.assertNotIn("#010203", figure)
        self.assertEqual(len(ids), len(set(ids)))

        both = Page(self.report(self.path("a<b>"), self.path("other")))
        self.assertEqual(both.headings[0], "CARAT: 2 runs")
        self.assertIn("other: Precision and recall", both.headings)
        self.assertIn("mean ± sd", both.cells)
        from carat import Run
        from carat.errors import OutputError
        file = Run(self.path("a<b>")).report(self.path("p.html"), self.path("other"))
        with open(file, encoding="utf-8") as page_file:
            same = Page(page_file.read())
        self.assertEqual((same.headings, same.cells), (both.headings, both.cells))
        with self.assertRaisesRegex(OutputError, "p.html: there is something"):
            Run(self.path("a<b>")).report(file)
        Run(self.path("a<b>")).report(file, force=True)

    def test_what_can_not_be_reported(self) -> None:
        done = self.run_script("report", self.path("none"), "-o", self.path("r.html"))
        self.assert_refused(done, 65, "a run's directory")
        self.train("a", *GENERATED)
        self.bytes("r.html", b"mine")
        self.assert_refused(self.run_script("report", self.path("a"), "-o", self.path("r.html")), 73, "--force")
        self.assert_refused(self.run_script("report", self.path("a"), self.path("a/."), "-o", self.path("s.html")), 64, "twice")
        os.remove(self.path("a/result.json"))
        self.assert_refused(self.run_script("report", self.path("a"), "-o", self.path("s.html")), 65, "finished")
        self.assertFalse(os.path.exists(self.path("s.html")))

    def test_the_sign_test_is_the_binomial(self) -> None:
        for a, b in ((0, 0), (1, 0), (3, 9), (40, 25), (7, 7)):
            n, k = a + b, min(a, b)
            exact = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n)
            self.assertAlmostEqual(exact_sign_test(a, b), exact, places=12)
