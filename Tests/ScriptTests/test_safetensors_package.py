"""Files of the trainer and of PyPI's safetensors package, each read by the other. Needs the built trainer."""
import json
import os
import subprocess
import unittest

import numpy as np
from carat import places
from support import FileTestCase

try:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError:
    save_file = None

SMALL = ("--layers 1,1,1 --hidden-size 8 --heads 2 --feed-forward-size 8 --latent-size 4 --queue-size 64 --batch-size 4 "
         "--epochs 1 --workers 1").split()


@unittest.skipIf(save_file is None, "no safetensors package")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class PackageTests(FileTestCase):
    def train(self, *arguments: str) -> str:
        done = subprocess.run([places.train(), *arguments], capture_output=True, text=True, cwd=self.directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_each_reads_what_the_other_writes(self) -> None:
        os.mkdir(self.path("data"))
        for split, n in (("train", 12), ("valid", 4), ("test", 5)):
            save_file({**{m: self.random.standard_normal((n, 6, width)).astype(np.float32)
                          for m, width in (("text", 5), ("visual", 4), ("audio", 3))},
                       "labels": self.random.integers(0, 2, (n, 3)).astype(np.float32),
                       "text_length": self.random.integers(1, 7, n)},                  # int64
                      self.path(f"data/{split}.safetensors"), metadata={"label_names": "calm,glad,tense"})
        self.train("run", "--data", "data", "--output", "run", "--quiet", *SMALL)
        with open(self.path("run/result.json"), encoding="utf-8") as file:
            steps = json.load(file)["steps"]
        weights = load_file(self.path("run/best.safetensors"))
        self.assertEqual(weights["queue"].shape, (64, 4))
        self.assertEqual(weights["text_pos_protos"].shape, (3, 4))
        checkpoint = self.path(f"run/checkpoints/step-{steps:09}.safetensors")
        with safe_open(checkpoint, framework="np") as file:
            self.assertEqual(file.get_tensor("step").tolist(), [steps])
            self.assertIn("sha256", file.metadata())
            for name, tensor in load_file(checkpoint).items():
                self.assertEqual(file.get_tensor(name).tobytes(), tensor.tobytes())
        # What the package writes of the weights predicts the same.
        save_file(weights, self.path("again.safetensors"))
        scores = [self.train("predict", "run", "--data", "data/test.safetensors", *more)
                  for more in ((), ("--weights", "again.safetensors"))]
        self.assertEqual(scores[0], scores[1])
        self.assertEqual(len(scores[0].splitlines()), 6)


if __name__ == "__main__":
    unittest.main()
