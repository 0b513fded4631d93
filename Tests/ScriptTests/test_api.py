"""`import carat`: data sets of arrays, runs and predictions, beside what the program's command line says. Needs the built
trainer."""
import doctest
import io
import json
import os
import signal
import subprocess
import sys
import time
import unittest
import unittest.mock
from contextlib import redirect_stderr, redirect_stdout

import carat
import numpy as np
from carat import places
from carat.errors import DivergedError, FormatError, RefusedError
from support import SCRIPTS, FileTestCase

try:
    import pandas
    from safetensors.numpy import load_file
except ImportError:
    pandas = None
try:
    import torch
except ImportError:
    torch = None

TINY = {"epochs": 3, "batch_size": 4, "layers": (1, 1, 1), "hidden_size": 8, "heads": 2, "feed_forward_size": 8, "latent_size": 4,
        "queue_size": 64, "workers": 1}


class ArrayTestCase(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        n = 60
        self.arrays = {m: self.random.standard_normal((n, 6, f)) for m, f in (("text", 5), ("visual", 4), ("audio", 3))}
        self.labels = self.random.random((n, 2)) < 0.5
        self.names = ["glad", "sad"]

    def dataset(self, **options: object) -> carat.Dataset:
        return carat.Dataset.from_arrays(labels=self.labels, label_names=self.names, **self.arrays, **options)  # type: ignore


@unittest.skipIf(pandas is None, "no pandas or safetensors")
class DatasetTests(ArrayTestCase):
    def test_every_sample_is_in_one_split_with_its_labels(self) -> None:
        lengths = self.random.integers(1, 7, 60)
        ids = [f"clip{i}" for i in range(60)]
        data = self.dataset(lengths=lengths, ids=ids, split=(0.5, 0.25, 0.25), output=self.path("d"))
        self.assertEqual(data.path, self.path("d"))
        found = {}
        for split, count in (("train", 30), ("valid", 15), ("test", 15)):
            tensors = load_file(self.path(f"d/{split}.safetensors"))
            self.assertEqual(tensors["labels"].shape, (count, 2))
            for row, name in enumerate(tensors["ids"]):
                found[bytes(name).rstrip(b"\0").decode()] = {k: v[row] for k, v in tensors.items()}
        self.assertEqual(sorted(found), sorted(ids))
        for i, name in enumerate(ids):
            sample = found[name]
            for m, values in self.arrays.items():
                k = lengths[i]
                np.testing.assert_array_equal(sample[m][:k], values[i][:k].astype(np.float32))
                self.assertEqual(sample[f"{m}_length"], k)
            np.testing.assert_array_equal(sample["labels"], self.labels[i])

    def test_seeds_and_temporary_places(self) -> None:
        def content(data: carat.Dataset) -> list:
            with open(os.path.join(data.path, "train.safetensors"), "rb") as file:
                return [file.read()]
        a, b, c = self.dataset(), self.dataset(), self.dataset(seed=1)
        self.assertEqual(content(a), content(b))
        self.assertNotEqual(content(a), content(c))
        place = a.path
        del a
        self.assertFalse(os.path.exists(place))

    def test_sequences_of_their_own_lengths(self) -> None:
        self.arrays["text"] = [self.random.standard_normal((1 + i % 6, 5)) for i in range(60)]
        data = self.dataset(split=None, output=self.path("all.safetensors"))
        tensors = load_file(data.path)
        self.assertEqual(tensors["text"].shape, (60, 6, 5))
        self.assertEqual(tensors["text_length"].tolist(), [1 + i % 6 for i in range(60)])

    def test_what_does_not_fit_together(self) -> None:
        for change, words in (
            ({"labels": self.labels[:59]}, "59 of labels"), ({"labels": self.labels * 2}, "of 0 and 1"),
            ({"labels": None}, "labels to train on"), ({"label_names": ["glad"]}, "2 label names, found 1"),
            ({"lengths": np.ones(59, int)}, "a length for each of 60"), ({"text": np.zeros((60, 5))}, "text of shape [N, T, F]"),
            ({"audio": np.zeros((61, 6, 3))}, "61 of audio"),
        ):
            with self.subTest(words=words), self.assertRaises(FormatError) as raised:
                carat.Dataset.from_arrays(**{"labels": self.labels, "label_names": self.names, **self.arrays, **change})
            self.assertIn(words, str(raised.exception))
        with self.assertRaises(FormatError):
            carat.Dataset(self.path("none"))


@unittest.skipIf(pandas is None, "no pandas or safetensors")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class RunTests(ArrayTestCase):
    def fit(self, data: carat.Dataset, name: str = "run", **options: object) -> carat.Run:
        return carat.fit(data, self.path(name), progress=False, **{**TINY, **options})

    def program(self, *arguments: str) -> str:
        done = subprocess.run([places.train(), *arguments], capture_output=True, text=True, cwd=self.directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_run_is_the_programs(self) -> None:
        data = self.dataset(output=self.path("data"))
        run = self.fit(data)
        options = [word for k, v in TINY.items() for word in (
            "--" + k.replace("_", "-"), ",".join(map(str, v)) if isinstance(v, tuple) else str(v))]
        self.program("run", "--data", "data", "--output", "own", "--quiet", *options)
        with open(self.path("own/result.json"), encoding="utf-8") as file:
            self.assertEqual(run.result["digest"], json.load(file)["digest"])
        self.assertEqual(run.config["epochs"], 3)
        history = run.history
        self.assertEqual(history["epoch"].tolist(), [1, 2, 3])
        best = history[history["epoch"] == run.result["best_epoch"]].iloc[0]
        self.assertEqual(best["valid_micro_f1"], run.result["valid"]["micro_f1"])
        steps = run.steps
        self.assertEqual(len(steps), run.result["steps"])
        self.assertAlmostEqual(history["loss"].iloc[0], steps[steps["epoch"] == 1]["loss"].mean())
        predicted = run.predict(data)
        own = pandas.read_csv(io.StringIO(self.program("predict", "own", "--data", "data")))
        pandas.testing.assert_frame_equal(predicted, own)
        made = run.embeddings(data)
        count = len(predicted)
        self.assertEqual(made["plain.text"].shape, (count, 2, run.config["model"]["hiddenSize"]))
        np.testing.assert_allclose(np.linalg.norm(made["latent.beta.audio"], axis=2), 1, atol=1e-5)
        np.testing.assert_allclose(made["attention.visual"].sum(2), 1, atol=1e-5)
        self.assertEqual(made["scores"][:, 0].tolist(), predicted["score_glad"].astype(np.float32).tolist())
        evaluated = run.evaluate(split="valid", tune_threshold="label")
        self.assertEqual(evaluated["micro_f1"], run.result["valid"]["micro_f1"])
        self.assertEqual([label["name"] for label in evaluated["labels"]], self.names)
        if torch is not None:
            weights = run.weights()
            self.assertTrue(all(isinstance(w, torch.Tensor) for w in weights.values()) and weights)

    def test_samples_without_labels_are_predicted(self) -> None:
        run = self.fit(self.dataset())
        samples = carat.Dataset.from_arrays(**self.arrays, ids=[f"NA{i}" for i in range(60)], split=None)
        frame = run.predict(samples)
        self.assertEqual(frame["id"].tolist(), [f"NA{i}" for i in range(60)])
        self.assertTrue(((frame["score_glad"] > 0) & (frame["score_glad"] < 1)).all())

    def test_what_is_shown(self) -> None:
        shown, warned = io.StringIO(), io.StringIO()
        with redirect_stdout(shown), redirect_stderr(warned):
            carat.fit(self.dataset(), self.path("run"), **TINY)
        lines = shown.getvalue().splitlines()
        self.assertEqual(len([line for line in lines if line.startswith("epoch ")]), 3)
        with redirect_stdout(shown), redirect_stderr(warned):
            position = shown.tell()
            self.fit(self.dataset(), "quiet")
        self.assertEqual(shown.tell(), position)

    def test_errors_are_exceptions_in_the_programs_words(self) -> None:
        data = self.dataset()
        for options, kind, words in (
            ({"epochz": 3}, RefusedError, "--epochz"), ({"batch_size": 1000}, RefusedError, "a batch of 1000 samples"),
            ({"learning_rate": 999, "epochs": 100, "dropout": 0}, DivergedError, "is not a finite number"),
        ):
            with self.subTest(options=options), self.assertRaises(kind) as raised:
                self.fit(data, f"run{len(options)}{words[2]}", **options)
            self.assertIn(words, str(raised.exception))
            self.assertEqual(len(str(raised.exception).splitlines()), 1)
        self.fit(data)
        with self.assertRaises(OSError) as taken:
            self.fit(data)
        self.assertIn("overwrite", str(taken.exception))
        self.assertTrue(self.fit(data, overwrite=True).is_finished)
        with unittest.mock.patch.dict(os.environ, CARAT_TRAIN=self.path("none")), self.assertRaises(FileNotFoundError):
            self.fit(data, "other")
        with self.assertRaises(TypeError):
            self.fit(data, "other", json=True)
        with self.assertRaises(FormatError):
            carat.Run(self.path("nowhere"))

    def test_control_c_stops_with_a_checkpoint(self) -> None:
        data = self.dataset(output=self.path("data"))
        whole = self.fit(data, "whole", epochs=400)
        program = (f"import carat\ntry:\n  carat.fit({data.path!r}, 'stopped', progress=False, **{ {**TINY, 'epochs': 400}!r})\n"
                   "except KeyboardInterrupt: print('interrupted')\n")
        process = subprocess.Popen([sys.executable, "-c", program], cwd=self.directory, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, "PYTHONPATH": SCRIPTS})
        metrics = self.path("stopped/metrics.jsonl")
        limit = time.monotonic() + 60
        while not (os.path.isfile(metrics) and os.path.getsize(metrics) > 1000) and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=60)[0], "interrupted\n")
        stopped = carat.Run(self.path("stopped"))
        self.assertFalse(stopped.is_finished)
        with self.assertRaises(FormatError):
            _ = stopped.result
        resumed = carat.fit(data, stopped, progress=False, resume=True)
        self.assertEqual(resumed.result["digest"], whole.result["digest"])


@unittest.skipIf(pandas is None, "no pandas or safetensors")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class ExampleTests(unittest.TestCase):
    def test_docstrings(self) -> None:
        from carat import data, runs
        for module in (data, runs):
            done = doctest.testmod(module)
            self.assertGreater(done.attempted, 2)
            self.assertEqual(done.failed, 0)
