"""What `train run --tensorboard` writes, read by TensorBoard's own package. Needs the built trainer and tensorboard."""
import glob
import json
import os
import subprocess
import unittest
from typing import Any, Dict, List

import numpy as np
from carat import places
from support import FileTestCase

try:
    from safetensors.numpy import load_file
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.compat.proto import event_pb2
    from tensorboard.plugins.hparams import plugin_data_pb2 as hparams_data
    from tensorboard.plugins.pr_curve import plugin_data_pb2 as curve_data
    from tensorboard.util import tensor_util
except ImportError:
    EventAccumulator = None

SMALL = ("--layers 1,1,1 --hidden-size 8 --heads 2 --feed-forward-size 8 --latent-size 4 --queue-size 64 --batch-size 8 "
         "--workers 1 --lr 1e-2 --samples 44,24,24 --steps 4 --features 5,4,3 --labels 3 --quiet --json").split()
ALL = {"scalars": 0, "histograms": 0, "tensors": 0}


@unittest.skipIf(EventAccumulator is None, "no tensorboard or safetensors")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class TensorBoardTests(FileTestCase):
    def train(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([places.train(), *arguments], capture_output=True, text=True, env={**os.environ, **environment})

    def trained(self, name: str, *more: str) -> Dict[str, Any]:
        done = self.train("run", "--output", self.path(name), *SMALL, *more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        result: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def read(self, name: str, part: str) -> Any:
        accumulator = EventAccumulator(os.path.join(self.path(name), "tensorboard", part), size_guidance=ALL)
        accumulator.Reload()
        return accumulator

    def records(self, name: str, event: str) -> List[Dict[str, Any]]:
        with open(self.path(f"{name}/metrics.jsonl"), encoding="utf-8") as file:
            return [r for r in map(json.loads, file) if r["event"] == event]

    def steps_in_files(self, name: str, part: str, tag: str) -> List[int]:
        """Steps in all files as they are, whatever a reader would leave out."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.path(name), "tensorboard", part, "events.out.tfevents.*"))):
            for event in LegacyEventFileLoader(path).Load():
                found += [event.step for value in event.summary.value if value.tag == tag]
        return found

    def assert_scalars(self, name: str, epochs: int = 2) -> None:
        """Each scalar of the records, at each step once, and no other."""
        train, steps = self.read(name, "train"), self.records(name, "step")
        self.assertEqual([r["step"] for r in steps], list(range(1, 5 * epochs + 1)))
        expected = {"loss/total": lambda r: r["loss"], "gradient_norm/all": lambda r: r["gradient_norm"],
                    "learning_rate": lambda r: r["learning_rate"], "samples_per_second": lambda r: r["samples_per_second"],
                    **{f"loss/{term}": lambda r, term=term: r["terms"][term] for term in steps[0]["terms"]}}
        self.assert_equal_scalars(train, expected, steps, others={f"gradient_norm/{m}" for m in ("text", "visual", "audio", "heads")})
        self.assertEqual(self.steps_in_files(name, "train", "loss/total"), [r["step"] for r in steps])
        self.assertEqual(self.steps_in_files(name, "train", "gradients/text/biases"), [5 * (i + 1) for i in range(epochs)])
        for split in ("valid", "test"):
            records = [r for r in self.records(name, "evaluation") if r["split"] == split]
            self.assertEqual(len(records), epochs if split == "valid" else 1)
            expected = {f"evaluation/{k}": lambda r, k=k: r["metrics"][k] for k, v in records[0]["metrics"].items() if k != "label_f1"}
            expected.update({f"label_f1/{k}": lambda r, k=k: r["metrics"]["label_f1"][k] for k in records[0]["metrics"]["label_f1"]})
            self.assert_equal_scalars(self.read(name, split), expected, records)
            self.assertEqual(self.steps_in_files(name, split, "label1"), [r["step"] for r in records])

    def assert_equal_scalars(self, read: Any, expected: Dict[str, Any], records: List[Any], others: Any = ()) -> None:
        self.assertEqual(set(read.Tags()["scalars"]), {*expected, *others})
        for tag, value in expected.items():
            self.assertEqual([(e.step, e.value) for e in read.Scalars(tag)],
                             [(r["step"], float(np.float32(value(r)))) for r in records], tag)

    def test_scalars_are_the_records(self) -> None:
        result = self.trained("r", "--tensorboard", "--epochs", "2")
        self.assert_scalars("r")
        train = self.read("r", "train")
        squares = sum(np.square([e.value for e in train.Scalars(f"gradient_norm/{m}")]) for m in ("text", "visual", "audio", "heads"))
        np.testing.assert_allclose(np.sqrt(squares), [e.value for e in train.Scalars("gradient_norm/all")], rtol=1e-5)
        # Results are the same bits without, and then nothing is written.
        self.assertEqual(self.trained("without", "--epochs", "2")["digest"], result["digest"])
        self.assertFalse(os.path.exists(self.path("without/tensorboard")))
        # No text takes the place of events.
        (path,) = glob.glob(self.path("r/tensorboard/test/*"))
        done = self.train("predict", self.path("r"), "--output", path)
        self.assertEqual(done.returncode, 73, done.stderr)

    def test_histograms_are_of_the_parameters_and_gradients(self) -> None:
        self.trained("r", "--tensorboard", "--epochs", "2")
        read = self.read("r", "train")
        weights = load_file(sorted(glob.glob(self.path("r/checkpoints/*.safetensors")))[-1])
        groups = {
            "text/layer_0": [k for k in weights if k.startswith("text.encoder.layer.0.") and weights[k].ndim == 2],
            "audio/gains": ["audio_norm.norm2d.weight", *[k for k in weights if k.startswith("audio.") and k.endswith("LayerNorm.weight")]],
            "heads/aggregation": [k for k in weights if k.startswith("agg.") and k.endswith("weight")],
        }
        for group, names in groups.items():
            values = np.concatenate([weights[k].ravel() for k in names]).astype(np.float64)
            first, last = read.Histograms(f"parameters/{group}")
            self.assertEqual((first.step, last.step), (5, 10))
            found = last.histogram_value
            self.assertEqual((found.num, found.min, found.max), (values.size, values.min(), values.max()), group)
            np.testing.assert_allclose((found.sum, found.sum_squares), (values.sum(), np.square(values).sum()), rtol=1e-9)
            edges = [found.min, *found.bucket_limit]
            counts, _ = np.histogram(values, edges)
            # A value beside an edge may fall on either side of it.
            self.assertLessEqual(np.abs(np.cumsum(counts) - np.cumsum(found.bucket)).max(), 2, group)
        tags = read.Tags()["histograms"]
        parameters = [t for t in tags if t.startswith("parameters/")]
        self.assertEqual({t.replace("parameters/", "gradients/") for t in parameters}, set(tags) - set(parameters))
        count = sum(read.Histograms(t)[-1].histogram_value.num for t in parameters)
        squares = 0.0
        for tag in set(tags) - set(parameters):
            found = read.Histograms(tag)[-1].histogram_value
            squares, count = squares + found.sum_squares, count - found.num
        self.assertEqual(count, 0)
        self.assertAlmostEqual(np.sqrt(squares) / self.records("r", "step")[-1]["gradient_norm"], 1, places=5)

    def test_curves_are_of_the_scores(self) -> None:
        self.trained("r", "--tensorboard", "--epochs", "2")
        said = self.train("predict", self.path("r")).stdout.splitlines()
        rows = [dict(zip(said[0].split(","), line.split(","))) for line in said[1:]]
        self.assertEqual(len(rows), 24)
        read = self.read("r", "test")
        for label in ("label0", "label1", "label2"):
            metadata = read.SummaryMetadata(label).plugin_data
            content = curve_data.PrCurvePluginData.FromString(metadata.content)
            self.assertEqual((metadata.plugin_name, content.num_thresholds), ("pr_curves", 201))
            (event,) = read.Tensors(label)
            curve = tensor_util.make_ndarray(event.tensor_proto)
            self.assertEqual(curve.shape, (6, 201))
            scores = np.array([row[f"score_{label}"] for row in rows], np.float32)
            truth = np.array([row[f"truth_{label}"] for row in rows]) == "1"
            self.assertTrue(0 < truth.sum() < 24)
            thresholds = np.linspace(0, 1, 201)[:, None]
            clear = np.abs(scores - thresholds).min(1) > 1e-6
            predicted = scores >= thresholds
            counts = np.stack([(predicted & truth).sum(1), (predicted & ~truth).sum(1), (~predicted & ~truth).sum(1),
                               (~predicted & truth).sum(1)])
            np.testing.assert_array_equal(curve[:4, clear], counts[:, clear])
            np.testing.assert_allclose(curve[4], curve[0] / np.maximum(curve[0] + curve[1], 1), rtol=1e-6)
            np.testing.assert_allclose(curve[5], curve[0] / truth.sum(), rtol=1e-6)
        self.assertEqual([e.step for e in self.read("r", "valid").Tensors("label0")], [5, 10])

    def test_settings(self) -> None:
        self.trained("r", "--tensorboard", "--epochs", "1", "--patience", "3")
        read = self.read("r", "")
        (text,) = tensor_util.make_ndarray(read.Tensors("config.json")[0].tensor_proto)
        with open(self.path("r/config.json"), encoding="utf-8") as file:
            settings = json.load(file)
        self.assertEqual(set(settings.pop("written")), {"time", "environment"})
        self.assertEqual(json.loads(text.decode().split("```")[1][len("json\n"):]), settings)
        content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        found = hparams_data.HParamsPluginData.FromString(content).session_start_info.hparams
        self.assertEqual((found["learning-rate"].number_value, found["patience"].number_value), (0.01, 3))
        self.assertEqual((found["layers"].string_value, found["padding"].string_value), ("1,1,1", "packed"))

    def test_a_run_that_goes_on_has_each_step_once(self) -> None:
        whole = self.trained("whole", "--epochs", "3")
        # Killed at records from the first evaluation on to the test; each time it continues from its last checkpoint.
        for record in (9, 10, 15, 18, 23):
            name = f"killed{record}"
            arguments = ("run", "--output", self.path(name), *SMALL, "--tensorboard", "--epochs", "3", "--checkpoint-every", "2")
            self.assertEqual(self.train(*arguments, CARAT_FAULT=f"record:{record}").returncode, -9)
            # One that looks on while it continues: it has read what is cut.
            watching = self.read(name, "train")
            resumed = self.train("run", "--output", self.path(name), "--resume", "--json")
            self.assertEqual((resumed.returncode, resumed.stderr), (0, ""))
            self.assertEqual(json.loads(resumed.stdout.splitlines()[-1])["digest"], whole["digest"])
            self.assert_scalars(name, epochs=3)
            watching.Reload()
            self.assertEqual([e.step for e in watching.Scalars("loss/total")], list(range(1, 16)))

    def test_a_longer_run_is_tested_once(self) -> None:
        self.trained("r", "--tensorboard", "--epochs", "2")
        done = self.train("run", "--output", self.path("r"), "--resume", "--epochs", "3", "--allow-changed", "epochs")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assert_scalars("r", epochs=3)

    def test_a_run_may_begin_to_write_when_it_goes_on(self) -> None:
        self.trained("r", "--epochs", "1")
        more = ("run", "--output", self.path("r"), "--resume", "--allow-changed", "epochs", "--epochs")
        done = self.train(*more, "2", "--tensorboard")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.steps_in_files("r", "train", "loss/total"), [6, 7, 8, 9, 10])
        # It continues without its files, and says so.
        for path in glob.glob(self.path("r/tensorboard/train/*")):
            os.remove(path)
        done = self.train(*more, "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("tensorboard: expected 2 event files", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertEqual(self.steps_in_files("r", "train", "loss/total"), [11, 12, 13, 14, 15])

    def test_only_its_own_files_are_replaced(self) -> None:
        os.makedirs(self.path("r/tensorboard/train"))
        theirs = self.bytes("r/tensorboard/train/events.out.tfevents.1.theirs", b"theirs")
        done = self.train("run", "--output", self.path("r"), *SMALL, "--epochs", "1")
        self.assertEqual(done.returncode, 73)
        self.assertIn(theirs, done.stderr)
        self.trained("r", "--epochs", "1", "--overwrite")
        self.assertFalse(os.path.exists(self.path("r/tensorboard")))

    def test_a_full_disk_is_told(self) -> None:
        command = ["sh", "-c", 'ulimit -f 30; exec "$@"', "sh", places.train(), "run", "--output", self.path("r"),
                   *SMALL, "--tensorboard", "--epochs", "2", "--checkpoint-every", "100000"]
        # What was generated has to be there before.
        self.trained("d", "--epochs", "1")
        command[command.index("--samples"):command.index("--quiet")] = ["--data", self.path("d/data")]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn("tensorboard/train/events.out.tfevents.", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_the_first_record_names_the_format(self) -> None:
        self.trained("r", "--tensorboard", "--epochs", "1")
        for path in glob.glob(self.path("r/tensorboard/**/events.out.tfevents.*"), recursive=True):
            first = next(iter(LegacyEventFileLoader(path).Load()))
            self.assertEqual((first.file_version, isinstance(first, event_pb2.Event)), ("brain.Event:2", True))
