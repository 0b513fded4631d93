"""Weights both ways: the reference's scores from a run's weights, and the program's scores from the reference's. Skipped
where torch or the built program is missing."""
import json
import os
import subprocess
import unittest

import numpy as np
from carat.formats import safetensors_file
from carat.formats.mapped import Workspace
from support import ROOT, FileTestCase

try:
    import carat_reference
    import torch
except ImportError:
    torch = None

TRAIN = os.path.join(ROOT, ".build/release/train")
SIZES = ["--layers", "2,1,1", "--hidden-size", "32", "--heads", "4", "--feed-forward-size", "48", "--latent-size", "16",
         "--queue-size", "100", "--batch-size", "8"]


@unittest.skipIf(torch is None or not os.path.exists(TRAIN), "no torch, or no program")
class LogitsTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.train("run", "--output", self.path("run"), "--epochs", "2", "--learning-rate", "1e-3", "--samples", "40,9,20",
                   "--steps", "7", "--features", "8,7,6", "--labels", "3", *SIZES)
        self.data = safetensors_file.load(self.path("run/data/test.safetensors"), Workspace())[0]
        torch.manual_seed(3)
        self.model = carat_reference.CARAT(carat_reference.Config(
            feature_sizes=(8, 7, 6), max_positions=(7, 7, 7), layers=(2, 1, 1), hidden=32, heads=4, intermediate=48, labels=3,
            latent=16, queue=100))
        self.model.eval()

    def train(self, *arguments: str) -> str:
        done = subprocess.run([TRAIN, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def program_scores(self, *more: str) -> np.ndarray:
        lines = self.train("predict", self.path("run"), "--data", self.path("run/data"), "--format", "jsonl", *more).splitlines()
        records = [json.loads(line) for line in lines]
        return np.array([list(self.scores_of(r)) for r in records])

    @staticmethod
    def scores_of(record: dict) -> list:
        scores = record["scores"]
        return [scores[name] for name in sorted(scores)] if isinstance(scores, dict) else scores

    def reference_scores(self) -> np.ndarray:
        features = [torch.from_numpy(np.array(self.data[m])) for m in carat_reference.MODALITIES]
        masks = [(torch.arange(x.shape[1])[None] < torch.from_numpy(np.array(self.data[m + "_length"])).long()[:, None]).float()
                 for m, x in zip(carat_reference.MODALITIES, features)]
        with torch.no_grad():
            return self.model(features, masks, training=False)[1].numpy()

    def test_the_program_with_the_references_weights(self) -> None:
        for name in carat_reference.MODALITIES:
            for kind in ("pos", "neg"):
                torch.nn.init.normal_(getattr(self.model, f"{name}_{kind}_protos"))
        torch.save(self.model.state_dict(), self.path("model.bin"))
        done = self.run_script("weights", self.path("model.bin"), self.path("weights.safetensors"))
        self.assertEqual(done.returncode, 0, done.stderr)
        scores = self.program_scores("--weights", self.path("weights.safetensors"))
        np.testing.assert_allclose(scores, self.reference_scores(), atol=1e-5)

    def test_the_reference_with_a_runs_weights(self) -> None:
        done = self.run_script("weights", self.path("run/best.safetensors"), self.path("model.pt"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.model.load_state_dict(torch.load(self.path("model.pt"), weights_only=True))
        np.testing.assert_allclose(self.program_scores(), self.reference_scores(), atol=1e-5)


if __name__ == "__main__":
    unittest.main()
