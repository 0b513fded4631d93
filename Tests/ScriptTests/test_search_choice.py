"""scripts/search and carat.search: what is drawn, what is chosen, what is refused. Needs the built trainer and Optuna."""
import os
import subprocess
import sys
import unittest

import carat
from carat import places
from carat.errors import FormatError, ProgramError, UsageError
from test_search import SearchTestCase

try:
    import pandas
    from carat.searching.plan import Pruning, plan
    from carat.searching.space import drawn, space_of
    from carat.train_options import train_options
except ImportError:
    pandas = None

# Stands in for the trainer's runs: a learning rate of 2, 64 and so on is the status that they fail with; others make 3 epochs
# whose metric on the validation split is the rate, and on the test split 1 less the rate.
STUB = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
if words[0] != "run":
    sys.exit(subprocess.run(["{train}", *words]).returncode)
options = dict(zip(words[1::2], words[2::2]))
output, rate = options["--output"], float(options["--learning-rate"])
assert options["--resume"] == "auto" and options["--best-by"] == "macro_f1"
if rate > 1:
    print("the start\\ntrain: so it is with " + options["--learning-rate"], file=sys.stderr)
    sys.exit(int(rate))
def metrics(value):
    return dict(micro_f1=0.5, macro_f1=value, mAP=0.5, label_f1=dict(a=1))
with open(output + "/config.json", "w") as file:
    json.dump(dict(epochs=3), file)
with open(output + "/metrics.jsonl", "w") as file:
    for epoch in (1, 2, 3):
        print(json.dumps(dict(event="evaluation", split="valid", epoch=epoch, metrics=metrics(rate * epoch / 3))), file=file)
    print(json.dumps(dict(event="evaluation", split="test", epoch=3, metrics=metrics(1 - rate))), file=file)
with open(output + "/result.json", "w") as file:
    json.dump(dict(best_epoch=3, valid=metrics(rate), test=metrics(1 - rate)), file)
"""


@unittest.skipIf(pandas is None, "no Optuna or pandas")
class ChoiceTests(SearchTestCase):
    def stub(self, *rates: str, more: tuple = ()) -> "subprocess.CompletedProcess[str]":
        with open(self.path("train"), "w") as file:
            file.write(STUB.format(python=sys.executable, train=places.train()))
        os.chmod(self.path("train"), 0o755)
        return self.search("--grid", "--space", "learning-rate=" + ",".join(rates), "--metric", "macro_f1", "--train", self.path("train"),
                           *more)

    def test_the_choice_is_on_the_validation_split(self) -> None:
        done = self.stub("0.3", "0.9", "0.5")
        self.assertEqual(done.returncode, 0, done.stderr)
        best = self.json("out/best.json")
        self.assertEqual((best["trial"], best["valid"]["macro_f1"]), (1, 0.9))
        self.assertAlmostEqual(best["test"]["macro_f1"], 0.1)
        self.assertEqual([line.split() for line in done.stdout.splitlines()][1], ["1", "complete", "3", "0.9", "0.9000", "0.1000"])

    def test_a_trial_that_fails_by_its_own_fault(self) -> None:
        done = self.stub("0.3", "2", "0.5", "64", "71")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.rows()
        self.assertEqual([r["state"] for r in rows], ["complete", "failed", "complete", "failed", "failed"])
        self.assertEqual(rows[1]["failure"], "so it is with 2.0")
        self.assertIn("trial 3, learning-rate 64: failed, status 64: so it is with 64.0", done.stderr)
        self.assertEqual(self.stub("0.3", "2", "0.5", "64", "71").stdout, done.stdout)    # not tried again

    def test_a_failure_of_all(self) -> None:
        done = self.stub("0.3", "65", "0.5")
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertEqual(done.stderr.splitlines()[-1], f"search: {self.path('out')}/trial-1: so it is with 65.0")
        self.assertEqual([r["state"] for r in self.rows()], ["complete", "unfinished"])
        done = self.stub("2", "71")
        self.assertEqual(done.returncode, 64)                                # another space
        os.rename(self.path("out"), self.path("first"))
        done = self.stub("2", "71")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse(os.path.exists(self.path("out/best.json")))

    def test_from_python(self) -> None:
        found = carat.search(self.data, self.path("out"), {"learning_rate": [1e-3, 1e-2], "layers": [(1, 1, 1), (0, 0, 1)]}, grid=True,
                             trials=3, epochs=1, progress=False, hidden_size=8, heads=2, feed_forward_size=8, latent_size=4,
                             queue_size=64, batch_size=8, workers=1)
        trials = found.trials
        self.assertEqual(trials["layers"].tolist(), ["1,1,1", "1,1,1", "0,0,1"])
        best = trials.loc[trials["valid_micro_f1"].idxmax()]
        self.assertEqual(found.settings, {"layers": best["layers"], "learning_rate": best["learning-rate"]})
        self.assertEqual(found.best.result["test"]["micro_f1"], best["test_micro_f1"])
        self.assertIsInstance(trials, pandas.DataFrame)
        with self.assertRaises(ProgramError) as refused:
            carat.search(self.data, self.path("other"), {"dropout": "0..1"}, progress=False, batch_size=1000)
        self.assertEqual(refused.exception.status, 64)
        with self.assertRaises(FormatError):
            carat.SearchResult(self.path("none"))


@unittest.skipIf(pandas is None, "no Optuna or pandas")
class SpaceTests(SearchTestCase):
    def test_drawing(self) -> None:
        space = space_of([("dropout", "0..1"), ("epochs", "1..1000:log"), ("batch-size", "8,16")], train_options(places.train()))
        self.assertEqual(list(space), ["batch-size", "dropout", "epochs"])
        many = drawn(space, 200, 3)
        self.assertEqual(drawn(space, 20, 3), many[:20])
        self.assertNotEqual(drawn(space, 20, 4), many[:20])
        self.assertTrue(all(isinstance(s["epochs"], int) and 1 <= s["epochs"] <= 1000 for s in many))
        self.assertTrue(60 < sum(s["epochs"] < 32 for s in many) < 140, "half of them, by the logarithm")
        self.assertTrue(60 < sum(s["dropout"] < 0.5 for s in many) < 140)
        # No settings twice: of few all, and no more.
        few = space_of([("batch-size", "8,16"), ("heads", "1..3")], train_options(places.train()))
        self.assertEqual(sorted((s["batch-size"], s["heads"]) for s in drawn(few, 100, 1)), [(b, h) for b in (8, 16) for h in (1, 2, 3)])

    def test_wrong_usage(self) -> None:
        rate = ("learning-rate", "1e-3,1e-2")
        for space, options, more, words in (
            ([], [], {}, "expected settings to search"), ([("learning-rat", "1,2")], [], {}, "did you mean learning-rate?"),
            ([("quiet", "1")], [], {}, "found a flag"), ([rate, ("lr", "1,2")], [], {}, "found it twice"),
            ([("dropout", "0.3..0")], [], {}, "LOW < HIGH"), ([("dropout", "0..0.3:log")], [], {}, "0 < LOW"),
            ([("dropout", "0..0.3:lin")], [], {}, ":log"), ([("dropout", "0..nan")], [], {}, "all numbers"),
            ([("batch-size", "8..16.5")], [], {}, "all whole numbers"), ([("batch-size", "8,x")], [], {}, "whole numbers, found 8,x"),
            ([("anchors", "all..batch")], [], {}, "a range of what is no number"), ([("dropout", "0.1,0.10")], [], {}, "different"),
            ([("dropout", "0..0.3")], [], {"is_grid": True}, "found a range"), ([rate], ["--lr=1"], {}, "which --space learning-rate gives"),
            ([rate], ["--best-by", "mAP"], {}, "say --metric"), ([("output", "a,b")], [], {}, "as the search's own"),
            ([rate], ["--output", "x"], {}, "the search's own"), ([rate], [], {"metric": "loss"}, "micro_f1, macro_f1, mAP"),
            ([rate], [], {"trials": 0}, "--trials 0: expected 1 to"), ([rate], [], {"jobs": 0}, "--jobs 0"),
            ([rate], [], {"seed": -1}, "--search-seed -1"), ([rate], [], {"pruning": Pruning(0)}, "--whole-trials 0"),
            ([rate], [], {"pruning": Pruning(1, 0)}, "--prune-from 0"),
        ):
            with self.subTest(words=words), self.assertRaises(UsageError) as refused:
                plan(places.train(), self.path("out"), self.data, space, options, **more)
            self.assertIn(words, str(refused.exception))
        with self.assertRaises(FormatError):
            plan(places.train(), self.path("out"), self.path("none"), [rate], [])
        for words, status, said in ((("--space", "dropout"), 64, "invalid setting"), (("--jobs", "5000", "--space", "dropout=0,0.1"), 64, "a core"),
                                    (("--train", "none", "--space", "dropout=0,0.1"), 66, "no program none")):
            done = self.search(*words)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(said, done.stderr.splitlines()[-1])

    def test_without_optuna(self) -> None:
        program = ("import sys; sys.modules['optuna'] = None; sys.argv[0] = 'search'\nfrom carat import program\n"
                   "from carat.commands import search\nprogram.run('search', search.main)")
        done = subprocess.run([sys.executable, "-c", program, *self.words("--space", "dropout=0,0.1")[2:]], capture_output=True, text=True,
                              env={**os.environ, "CARAT_PYTHON_RESTARTED": "1"})
        self.assert_refused(done, 69, "has no optuna")


if __name__ == "__main__":
    unittest.main()
