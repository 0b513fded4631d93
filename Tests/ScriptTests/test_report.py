"""The page of runs. Needs the built trainer and matplotlib."""
import base64
import html
import html.parser
import io
import json
import math
import os
import re
import subprocess
import unittest
import unittest.mock
import xml.etree.ElementTree

import numpy as np
from carat import Run, places
from carat.errors import OutputError
from support import FileTestCase

try:
    import matplotlib
    from carat.reporting import figures, latent_figures, latents
    from carat.reporting.judged_run import judge
    from carat.reporting.page import exact_sign_test, page
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure
    from PIL import Image
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
        done = subprocess.run([places.train(), "run", "--output", self.path(name), *SMALL, *more], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def report(self, *arguments: str) -> str:
        done = self.run_script("report", *arguments, "-o", self.path("r.html"), "--force")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.strip(), self.path("r.html"))
        with open(self.path("r.html"), encoding="utf-8") as file:
            return file.read()

    def test_pages(self) -> None:
        self.train("a<b>", *GENERATED, "--labels", "3", "--average-weights", "0.9", "--tune-threshold", "label", "--audit-every", "6")
        self.train("other", "--seed", "2", "--data", self.path("a<b>/data"))
        with open(self.path("a<b>/result.json"), encoding="utf-8") as file:
            result = json.load(file)
        text = self.report(self.path("a<b>"))
        page = Page(text)
        self.assertEqual(page.headings[0], "CARAT: a<b>")
        for heading in ("Results", "Validation by epoch", "A step's time by phase", "Labels of the test split", "Precision and recall",
                        "Labels that come together", "Terms of the loss", "Prototypes", "Latents", "Attention over time", "Run"):
            self.assertIn(heading, page.headings)
        self.assertIn(f"{result['test']['micro_f1']:.4f}", page.cells)
        for name, f1 in result["test"]["label_f1"].items():
            self.assertIn(name, page.cells)
            self.assertIn(f"{f1:.4f}", page.cells)
        kept = result["tuned"]
        self.assertIn("a<b>, kept thresholds", page.cells)
        for value in (kept["test"]["micro_f1"], *kept["thresholds"].values(), *kept["test"]["label_f1"].values()):
            self.assertIn(f"{value:.4f}", page.cells)
        self.assertIn(f"Tested with {result['weights']} weights.", text)
        self.assertIn("Audits: 4 steps computed again, 0 faults.", text)
        self.assertIn("all samples of the test split", text)
        self.assertIn(result["digest"], text)
        for value in (*result["environment"].values(), result["time"]):
            self.assertIn(html.escape(value), text)
        # Nothing is fetched; every figure is well-formed, and its ids are its own.
        self.assertEqual(page.fetched, [])
        drawn = re.findall(r"<svg.*?</svg>", text, re.S)
        self.assertEqual(len(drawn), 8 + len(kept["thresholds"]))
        self.assertLess(len(text), 1_000_000)
        ids: list = []
        for figure in drawn:
            root = xml.etree.ElementTree.fromstring(figure)
            own = [e.get("id") for e in root.iter() if e.get("id")]
            ids += own
            used = re.findall(r'(?:xlink:href="|url\()#([^")]+)', figure)
            self.assertTrue(set(used) <= set(own), set(used) - set(own))
            self.assertNotIn("#010203", figure)
        self.assertEqual(len(ids), len(set(ids)))

        faults = [{"event": "fault", "step": 3, "stage": "heads backward", "tensor": "gradients of <text>", "rank": 0, "host": "node7",
                   "cpu": 12 + i, "action": "avoid"} for i in range(22)]
        with open(self.path("other/metrics.jsonl"), "a", encoding="utf-8") as file:
            file.writelines(json.dumps(fault) + "\n" for fault in faults)
        text = self.report(self.path("a<b>"), self.path("other"))
        self.assertIn("22 faults before the run continued without.", text)
        self.assertIn("and 2 more in metrics.jsonl", text)
        both = Page(text)
        for cell in ("heads backward", "gradients of <text>", "node7", "12", "31"):
            self.assertIn(cell, both.cells)
        self.assertNotIn("32", both.cells)
        self.assertEqual(both.headings[0], "CARAT: 2 runs")
        self.assertIn("other: Precision and recall", both.headings)
        self.assertIn("mean, fixed thresholds", both.cells)
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

    def drawn(self, draw: object, *arguments: object) -> "Figure":
        """What a function of a figure draws, before it is SVG."""
        made = Figure()
        with unittest.mock.patch.object(latent_figures, "svg", lambda draws, size, title: draws(made) or ""), \
                unittest.mock.patch.object(figures, "svg", lambda draws, size, title: draws(made) or ""):
            draw(*arguments)
        return made

    def test_figures_show_the_embeddings(self) -> None:
        # Long enough that latents tell samples apart.
        self.train("run", *"--samples 128,24,24 --steps 20 --hidden-size 32 --latent-size 16 --epochs 6 --lr 1e-3".split(),
                   "--average-weights", "0.9")
        run = judge(Run(self.path("run")), "run")
        made = Run(self.path("run")).embeddings()
        own = run.latents
        self.assertEqual(own.drawn.tolist(), list(range(24)))
        np.testing.assert_array_equal(run.scores.astype(np.float32), made["scores"])
        np.testing.assert_array_equal(run.truth, made["labels"])

        # Prototypes: the cosine is written into its cell.
        axes = self.drawn(latent_figures.prototypes, run, own).axes
        for axis, modality in zip(axes, ("text", "visual", "audio")):
            self.assertEqual(axis.get_title("left") or axis.get_title(), modality)
            positive, negative = made[f"prototypes.{modality}"].astype(float)
            values = {tuple(map(round, text.get_position())): text.get_text() for text in axis.texts}
            self.assertEqual(len(values), 6 * 7)
            for i, a in enumerate(positive):
                for j, b in [*enumerate(positive), (7, negative[i])]:
                    self.assertAlmostEqual(float(values[j, i]), a @ b / math.sqrt((a @ a) * (b @ b)), delta=0.0051)

        # Latents: a panel a modality and label; distances are those of the latents less what the other axes hold.
        axes = self.drawn(latent_figures.polarities, run, own).axes
        for k, modality in enumerate(("text", "visual", "audio")):
            for i, name in enumerate(run.label_names):
                axis = axes[k * 6 + i]
                rows = made[f"latent.beta.{modality}"][:, i].astype(float)
                variance = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
                points, colours = axis.collections[0].get_offsets(), axis.collections[0].get_facecolors()
                self.assertGreater(variance[1], 1e-6)
                np.testing.assert_allclose(np.var(points, axis=0, ddof=1), variance[:2], rtol=1e-5)
                self.assertEqual(axis.get_xlabel(), f"{variance[:2].sum() / variance.sum():.0%}")
                groups = {tuple(c) for c in colours[run.truth[:, i] > 0]}, {tuple(c) for c in colours[run.truth[:, i] == 0]}
                self.assertEqual(groups, tuple({to_rgba(colour, 0.6)} for colour in figures.COLOURS[:2]), name)
                # Of the two prototypes, the positive one is at the right.
                places_of = [line.get_xdata()[0] for line in axis.lines if len(line.get_xdata())]
                self.assertGreater(places_of[0], places_of[1])
        # All on common axes: a colour's points are those of its modality, label or polarity.
        rows = np.stack([made[f"latent.beta.{modality}"] for modality in ("text", "visual", "audio")])
        points = latents.project(rows.reshape(-1, 16)).of(rows)
        has = np.broadcast_to(run.truth > 0, points.shape[:3])
        groups_of = [list(points), list(np.moveaxis(points, 2, 0)), [points[has], points[~has]]]
        for axis, groups in zip(self.drawn(latent_figures.overview, run, own).axes, groups_of):
            scatter, = axis.collections
            colours = scatter.get_facecolors()
            for group, colour in zip(groups, figures.COLOURS):
                found = scatter.get_offsets()[(colours == to_rgba(colour, 0.6)).all(1)]
                expected = group.reshape(-1, 2)
                np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], atol=1e-12)

        # Attention: that of the program's explanation, whose winner is the one that is filled.
        said = subprocess.run([places.train(), "predict", self.path("run"), "--explain", "--threshold", "0", "--format", "jsonl"],
                              capture_output=True, text=True, check=True).stdout
        lines = [json.loads(line) for line in said.splitlines()]
        for name, example in zip(run.label_names, own.examples):
            having = [line for line in lines if name in line["truth"]]
            best = max(having, key=lambda line: line["scores"][name])
            self.assertEqual(example.sample, best["sample"])
            reason = best["explanations"][name]
            self.assertEqual(example.winner, reason["modality"])
            for axis in self.drawn(latent_figures.attention, run, example).axes:
                values = axis.patches[0].get_data().values
                self.assertAlmostEqual(float(values.sum()), 1, places=5)
                won = axis.get_title().endswith(" won") or axis.get_title("left").endswith(" won")
                self.assertEqual(len(axis.patches), 2 if won else 1)
                if won:
                    top = [step["step"] for step in reason["steps"]]
                    np.testing.assert_allclose(values[top], [step["weight"] for step in reason["steps"]], rtol=1e-6)

        # Live and averaged weights are a line each, of one value an epoch.
        first = self.drawn(figures.validation, [run]).axes[0]
        lines_of = {line.get_label(): line for line in first.lines if line.get_label().startswith("run")}
        self.assertEqual(sorted(lines_of), ["run, averaged", "run, live"])
        for weights in ("live", "averaged"):
            line = lines_of[f"run, {weights}"]
            expected = [r["metrics"]["micro_f1"] for r in run.epochs if r["weights"] == weights]
            self.assertEqual((list(line.get_xdata()), list(line.get_ydata())), ([1, 2, 3, 4, 5, 6], expected))
        self.assertNotEqual(*(line.get_linestyle() for line in lines_of.values()))

        # An image of points is in few colours, and there is one a panel.
        images = re.findall(r"data:image/png;base64,([^\"]+)", latent_figures.polarities(run, own))
        self.assertEqual(len(images), 18)
        for image in images:
            opened = Image.open(io.BytesIO(base64.b64decode(image))).convert("RGBA")
            self.assertTrue(1 < len(opened.getcolors()) <= 64)

    def test_a_program_without_embeddings(self) -> None:
        self.train("run", *GENERATED)
        self.bytes("older", b"""#!/usr/bin/env bash
for word; do
  if [ "$word" = --embeddings ]; then echo "Error: Unknown option '--embeddings'" >&2; exit 64; fi
done
exec "$REAL" "$@"
""")
        os.chmod(self.path("older"), 0o755)
        with unittest.mock.patch.dict(os.environ, {"CARAT_TRAIN": self.path("older"), "REAL": places.train()}):
            text = page([judge(Run(self.path("run")), "run")])
        self.assertIn("Not here, for the program did not give them: Unknown option &#x27;--embeddings&#x27;.", text)
        self.assertIn("Latents and attention", Page(text).headings)
        self.assertNotIn("Prototypes", Page(text).headings)

    def test_time_by_phase(self) -> None:
        self.train("r", *GENERATED)
        run = judge(Run(self.path("r")), "r")
        run.records = [{"event": "phases", "steps": 1, "seconds": {"wait": 0.4, "update": 0.003, "packing": 0.001}},
                       {"event": "phases", "steps": 3, "seconds": {"wait": 0.2, "encoders forward": 0.8}}]
        self.assertEqual({name: round(seconds, 6) for name, seconds in run.phases.items()},
                         {"wait": 0.25, "update": 0.00075, "packing": 0.00025, "encoders forward": 0.6})
        words = re.findall(r"<text[^>]*>([^<]*)", figures.phases([run]))
        for word in ("wait", "encoders forward", "all others", "600 ms, 70.5%", "250 ms, 29.4%", "1 ms, 0.1%", "r: 851 ms a step"):
            self.assertIn(word, words)
        self.assertNotIn("update", words)
        run.records = judge(Run(self.path("r")), "r").events("step")          # of an earlier version
        self.assertEqual(run.phases, {})
        self.assertNotIn("A step's time by phase", Page(page([run])).headings)

    def test_cosines(self) -> None:
        prototypes = self.random.normal(size=(2, 4, 5))
        found = latents.cosines(prototypes)
        self.assertEqual(found.shape, (4, 5))
        for i in range(4):
            for j, other in enumerate([*prototypes[0], prototypes[1, i]]):
                a = prototypes[0, i]
                self.assertAlmostEqual(found[i, j], a @ other / np.linalg.norm(a) / np.linalg.norm(other))
        prototypes[0, 2] = 0                                                 # of a label that no sample of the training split has
        found = latents.cosines(prototypes)
        self.assertTrue(np.isnan(found[2]).all() and np.isnan(found[:, 2]).all())
        self.assertTrue(np.isfinite(found[[0, 1, 3]][:, [0, 1, 3, 4]]).all())

    def test_projection(self) -> None:
        rows = self.random.normal(size=(60, 6)) * [1, 5, 2, 1, 1, 1] + 3
        towards = self.random.normal(size=6)
        found = latents.project(rows, towards)
        values, vectors = np.linalg.eigh(np.cov(rows.T))
        np.testing.assert_allclose(found.shares, values[::-1][:2] / values.sum())
        np.testing.assert_allclose(np.abs(found.axes @ vectors[:, ::-1][:, :2]), np.eye(2), atol=1e-9)
        self.assertTrue((found.axes @ towards > 0).all())
        np.testing.assert_allclose(latents.project(rows, -towards).axes, -found.axes)
        self.assertTrue((np.take_along_axis(latents.project(rows).axes, np.abs(found.axes).argmax(1)[:, None], 1) > 0).all())
        np.testing.assert_allclose(found.of(rows).mean(0), 0, atol=1e-12)
        # Rows without a second, or without any direction.
        line = latents.project(np.outer(np.arange(5), [1.0, 1, 0]))
        np.testing.assert_allclose(line.shares, [1, 0])
        self.assertFalse(line.axes[1].any())
        for same in (np.ones((1, 3)), np.ones((7, 3)) / 3, np.zeros((2, 1))):
            self.assertFalse(latents.project(same).of(same).any())

    def test_choice_of_samples(self) -> None:
        self.assertEqual(latents.draw_samples(3).tolist(), [0, 1, 2])
        drawn = latents.draw_samples(2000)
        self.assertEqual((len(drawn), len(set(drawn.tolist()))), (latents.MOST_SAMPLES, latents.MOST_SAMPLES))
        self.assertTrue((np.diff(drawn) > 0).all() and drawn.max() < 2000)
        np.testing.assert_array_equal(drawn, latents.draw_samples(2000))
        truth = np.array([[0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
        scores = np.array([[.9, .2, .5], [.3, .6, .5], [.8, .9, .5], [.8, .1, .5]], np.float32)
        self.assertEqual(latents.best_samples(scores, truth), [2, 1, None])
        attention = np.zeros((4, 3, 5), np.float32)
        attention[2, 0, :3] = [.5, 0, .5]
        made = {"scores": scores, "labels": truth, "attention.text": attention, "latent.beta.text": self.random.normal(size=(4, 3, 2)),
                "prototypes.text": np.ones((2, 3, 2))}
        rows = [{"id": f"clip{i}", "modality_a": "text"} for i in range(4)]
        example, other, none = latents.read(made, rows, ["a", "b", "c"], ["text"]).examples
        self.assertEqual((example.label, example.sample, example.id, example.winner), ("a", 2, "clip2", "text"))
        self.assertEqual(example.attention["text"].tolist(), [.5, 0, .5])
        self.assertEqual((other.id, other.winner, len(other.attention["text"])), ("clip1", "", 0))
        self.assertIsNone(none)

    def test_the_sign_test_is_the_binomial(self) -> None:
        for a, b in ((0, 0), (1, 0), (3, 9), (40, 25), (7, 7)):
            n, k = a + b, min(a, b)
            exact = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n)
            self.assertAlmostEqual(exact_sign_test(a, b), exact, places=12)
