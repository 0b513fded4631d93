"""scripts/search: trials, and how it continues. Needs the built trainer and Optuna."""
import contextlib
import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from carat import places
from support import SCRIPTS, FileTestCase

try:
    import carat
    import optuna
except ImportError:
    optuna = None

SMALL = ("--hidden-size 8 --heads 2 --feed-forward-size 8 --queue-size 64 --batch-size 8 "
         "--workers 1").split()


@unittest.skipIf(optuna is None, "no Optuna")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class SearchTestCase(FileTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.data = os.path.join(directory.name, "data")
        subprocess.run([places.train(), "generate", "--output", cls.data, "--samples", "64,32,32", "--steps", "4"], check=True,
                       capture_output=True)

    def words(self, *own: str, output: str = "out", data: str = "", layers: tuple = ("--layers", "1,1,1"),
              more: tuple = ()) -> list:
        return [sys.executable, os.path.join(SCRIPTS, "search"), "--output", self.path(output), "--data", data or self.data, *own, "--",
                *SMALL, *layers, *more]

    def search(self, *own: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.words(*own, **options), capture_output=True, text=True)  # type: ignore[arg-type]

    def found(self, *own: str, **options: object) -> "subprocess.CompletedProcess[str]":
        done = self.search(*own, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def rows(self, output: str = "out") -> list:
        with open(self.path(f"{output}/search.csv"), newline="") as file:
            return list(csv.DictReader(file))

    def json(self, name: str) -> dict:
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def bytes_of(self, *names: str) -> list:
        contents = []
        for name in names:
            with open(self.path(name), "rb") as file:
                contents.append(file.read())
        return contents


class SearchTests(SearchTestCase):
    SPACE = ("--space", "learning-rate=1e-4..1e-1:log", "--space", "dropout=0..0.5", "--space", "latent-size=4..16")

    def test_random(self) -> None:
        words = (*self.SPACE, "--metric", "mAP")
        done = self.found(*words, "--trials", "3", "--epochs", "2")
        rows = self.rows()
        self.assertEqual([(r["trial"], r["state"], r["epochs"]) for r in rows], [(str(i), "complete", "2") for i in range(3)])
        results = [self.json(f"out/trial-{i}/result.json") for i in range(3)]
        for row, i in zip(rows, range(3)):
            config = self.json(f"out/trial-{i}/config.json")
            self.assertTrue(1e-4 <= float(row["learning-rate"]) <= 1e-1 and 0 <= float(row["dropout"]) <= 0.5)
            self.assertAlmostEqual(config["optimizer"]["learningRate"], float(row["learning-rate"]), delta=1e-7)
            self.assertEqual(config["model"]["latentSize"], int(row["latent-size"]))
            self.assertEqual((config["bestBy"], config["epochs"]), ("mAP", 2))
            self.assertEqual(float(row["valid_mAP"]), results[i]["valid"]["mAP"])
            self.assertEqual(float(row["test_micro_f1"]), results[i]["test"]["micro_f1"])
        order = sorted(range(3), key=lambda i: -results[i]["valid"]["mAP"])
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()[1:]], [str(i) for i in order])
        best = self.json("out/best.json")
        self.assertEqual((best["trial"], best["directory"]), (order[0], f"trial-{order[0]}"))
        self.assertEqual(best["test"]["mAP"], results[order[0]]["test"]["mAP"])

        # The same again trains nothing; more trials continue, and two at a time with the same settings do the same.
        before = self.bytes_of("out/search.csv", "out/best.json", "out/trial-0.log")
        self.assertEqual(self.found(*words, "--trials", "3", "--epochs", "2").stdout, done.stdout)
        self.assertEqual(self.bytes_of("out/search.csv", "out/best.json", "out/trial-0.log"), before)
        self.found(*words, "--trials", "4", "--epochs", "2")
        jobs = "2" if len(os.sched_getaffinity(0)) > 1 else "1"
        self.found(*words, "--trials", "4", "--epochs", "2", "--jobs", jobs, output="again")
        self.assertEqual(self.rows("again"), self.rows())
        self.assertEqual(self.rows()[:3], rows)
        for i in range(4):
            self.assertEqual(self.json(f"again/trial-{i}/result.json")["digest"], self.json(f"out/trial-{i}/result.json")["digest"])

    def test_grid(self) -> None:
        self.found("--grid", "--space", "lr=1e-3,1e-2", "--space", "layers=1,1,1|0,1,0", "--epochs", "1", layers=())
        self.assertEqual([(r["layers"], float(r["learning-rate"]), r["state"]) for r in self.rows()], [
            (n, rate, "complete") for n in ("1,1,1", "0,1,0") for rate in (1e-3, 1e-2)])
        config = self.json("out/trial-2/config.json")
        self.assertEqual([m["layers"] for m in config["model"]["modalities"]], [0, 1, 0])

    def test_what_another_search_left_is_refused(self) -> None:
        words = ("--space", "learning-rate=1e-3,1e-2", "--grid", "--epochs", "1")
        # Nothing was trained: the mistake can be corrected.
        wrong = self.search(*words, more=("--epoch", "3"))
        self.assert_refused_by(wrong, 64, "trial-0: Unknown option '--epoch'")
        self.found(*words)
        before = self.bytes_of("out/search.csv", "out/study.journal")
        shutil.rmtree(self.path("out/trial-0"))                              # what has ended needs its runs no more
        shutil.rmtree(self.path("out/trial-1"))
        other = self.path("other")
        subprocess.run([places.train(), "generate", "--output", other, "--samples", "64,32,32", "--steps", "4", "--seed", "2"], check=True,
                       capture_output=True)
        for change, options, expected, found in (
            (("--space", "dropout=0,0.1"), {}, "--space learning-rate=0.001,0.01,", "dropout=0.0,0.1; learning-rate="),
            (("--metric", "mAP"), {}, "--metric micro_f1,", "found mAP"),
            ((), {"data": other}, "data files of SHA-256", "found"),
            ((), {"more": ("--patience", "3")}, '"--epochs", "1"', '"--patience"'),
        ):
            with self.subTest(found=found):
                self.assert_refused(self.search(*words, *change, **options), 64, "expected", expected, found, "another --output")
        self.assertEqual(self.bytes_of("out/search.csv", "out/study.journal"), before)
        # The same data elsewhere are the same.
        os.rename(self.data, self.path("moved"))
        try:
            self.found(*words, data=self.path("moved"))
        finally:
            os.rename(self.path("moved"), self.data)

    def assert_refused_by(self, done: "subprocess.CompletedProcess[str]", status: int, words: str) -> None:
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(words, done.stderr.splitlines()[-1])

    def test_a_search_at_work(self) -> None:
        os.mkdir(self.path("out"))
        with open(self.path("out/search.lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assert_refused(self.search("--space", "dropout=0,0.1"), 75, "expected no search at work")

    def test_a_run_that_is_not_the_trials(self) -> None:
        os.makedirs(self.path("out/trial-0"))
        self.bytes("out/trial-0/config.json", b"{}")
        done = self.search("--space", "dropout=0,0.1")
        self.assert_refused_by(done, 73, "out/trial-0: expected no run")

    def test_pruning_stops_a_run(self) -> None:
        epochs = 80
        words = ("--grid", "--space", "learning-rate=1e-3,2e-3,1e-9", "--epochs", str(epochs), "--metric", "mAP", "--whole-trials", "2",
                 "--prune-from", "4")
        done = self.found(*words)
        rows = self.rows()
        self.assertEqual([(r["state"], bool(r["test_mAP"])) for r in rows], [("complete", True), ("complete", True), ("stopped", False)])
        self.assertIn(f"stopped after epoch {rows[2]['epochs']}, below the median", done.stderr)
        # At the first epoch at which the rule says so.
        history = [carat.Run(self.path(f"out/trial-{i}")).history["valid_mAP"].tolist() for i in range(3)]
        worse = [e for e in range(4, len(history[2]) + 1) if max(history[2][:e]) < (history[0][e - 1] + history[1][e - 1]) / 2]
        self.assertEqual(int(rows[2]["epochs"]), worse[0])
        # As by Control-C: with a checkpoint, before its end.
        self.assertFalse(os.path.exists(self.path("out/trial-2/result.json")))
        self.assertTrue(os.listdir(self.path("out/trial-2/checkpoints")))
        self.assertLess(len(history[2]), epochs)
        self.assertIn(b"SIGINT: saving", self.bytes_of("out/trial-2.log")[0])
        self.assertNotEqual(self.json("out/best.json")["trial"], 2)
        # It stays stopped.
        self.assertEqual(self.found(*words).stdout, done.stdout)


class InterruptionTests(SearchTestCase):
    WORDS = ("--space", "learning-rate=1e-3..1e-2:log", "--trials", "2", "--epochs", "100", "--no-pruning")

    def interrupted(self, trial: int, sign: int) -> "subprocess.Popen[str]":
        """A search that got a signal when a trial had some epochs."""
        process = subprocess.Popen(self.words(*self.WORDS), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        metrics, limit = self.path(f"out/trial-{trial}/metrics.jsonl"), time.monotonic() + 60
        while not (os.path.isfile(metrics) and os.path.getsize(metrics) > 20000) and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(sign)
        return process

    def test_a_run_of_an_earlier_start(self) -> None:
        """A search that was killed may have left it at work."""
        self.found("--space", "dropout=0,0.1", "--grid", "--trials", "1", "--epochs", "1")
        os.mkdir(self.path("out/trial-1"))
        with open(self.path("out/trial-1/lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            waiting = "waiting, for a run that an earlier start left"
            for sign, status in ((signal.SIGTERM, 130), (None, 0)):
                process = subprocess.Popen(self.words("--space", "dropout=0,0.1", "--grid", "--epochs", "1"), stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True)
                said = [next(line for line in process.stderr or () if waiting in line)]
                if sign:
                    process.send_signal(sign)
                else:
                    fcntl.flock(file, fcntl.LOCK_UN)
                said += process.communicate(timeout=60)[1].splitlines()
                self.assertEqual(process.returncode, status, said)
                self.assertEqual(len([line for line in said if waiting in line]), 1)
        self.assertEqual([r["state"] for r in self.rows()], ["complete", "complete"])

    def digests(self, output: str) -> list:
        return [self.json(f"{output}/trial-{i}/result.json")["digest"] for i in range(2)]

    def test_stopped_and_killed(self) -> None:
        """Both come to what a search comes to that is left alone."""
        self.found(*self.WORDS, output="whole")
        process = self.interrupted(0, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (130, ""), err)
        self.assertIn("interrupted, with a checkpoint", err)
        self.assertEqual([r["state"] for r in self.rows()], ["unfinished"])
        self.assertTrue(os.listdir(self.path("out/trial-0/checkpoints")))

        process = self.interrupted(1, signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertEqual(self.rows()[0]["state"], "complete")
        # What a kill may leave besides: half a line, and the lock of who wrote it.
        with open(self.path("out/study.journal"), "ab") as file:
            file.write(b'{"op_code":6,"worker')
        with contextlib.suppress(FileExistsError):
            os.symlink("study.journal", self.path("out/study.journal.lock"))
        done = self.found(*self.WORDS)
        self.assertIn("1 of 2 trials have ended", done.stderr)
        self.assertEqual((self.digests("out"), self.rows()), (self.digests("whole"), self.rows("whole")))


if __name__ == "__main__":
    unittest.main()
