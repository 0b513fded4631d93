"""scripts/weights, without torch."""
import json
import os
import pickle
import unittest
import zipfile

import numpy as np
from carat.formats import pickle_file, safetensors_file, torch_file
from carat.formats.carat_weights import Sizes, expected
from carat.formats.mapped import Workspace
from support import FileTestCase

SMALL = Sizes(hidden=8, feed_forward=12, labels=3, latent=4, queue=20, layers={"text": 2, "visual": 1, "audio": 1},
              features={"text": 6, "visual": 5, "audio": 4}, positions={"text": 7, "visual": 9, "audio": 9},
              aligned_length=None)


class WeightsTests(FileTestCase):
    def model(self, sizes: Sizes = SMALL) -> dict:
        weights = {n: self.random.standard_normal(s).astype(np.float32) for n, s in expected(sizes).items()}
        weights["queue_label"] = self.random.integers(-1, 18, (sizes.queue, 1)).astype(np.float32)
        weights["queue_ptr"] = np.array([5], np.int64)
        return weights

    def write(self, name: str, weights: dict) -> str:
        torch_file.write_state_dict(self.path(name), weights)
        return self.path(name)

    def weights(self, source: str, *options: str, output: str = "out.safetensors") -> str:
        done = self.run_script("weights", source, self.path(output), "--force", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        return done.stdout

    def read(self, name: str = "out.safetensors") -> dict:
        return safetensors_file.load(self.path(name), Workspace())[0]

    def test_both_ways(self) -> None:
        for sizes in (SMALL, SMALL._replace(aligned_length=5), SMALL._replace(queue=0)):
            model = self.model(sizes)
            if sizes.queue == 0:
                model["queue_ptr"][0] = 0
            self.weights(self.write("model.bin", model))
            self.weights(self.path("out.safetensors"), output="back.pt")
            back = pickle_file.load(self.path("back.pt"), Workspace())
            self.assertEqual(list(back), list(model))
            for name, values in self.read().items():
                self.assertEqual(values.dtype, model[name].dtype)
                np.testing.assert_array_equal(values, model[name])
                np.testing.assert_array_equal(back[name], model[name])

    def test_names_of_other_programs(self) -> None:
        model = self.model()
        old = {"module." + n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
               for n, v in model.items()}
        said = self.weights(self.write("model.bin", old))
        self.assertIn("module.", said)
        for name, values in self.read().items():
            np.testing.assert_array_equal(values, model[name])

    def test_wrappers_and_prefixes(self) -> None:
        model = self.model()
        averaged = {"n_averaged": np.array([7], np.int64), **{"module." + n: v for n, v in model.items()}}
        inside = {n.replace("text.", "text._orig_mod.", 1) if n.startswith("text.") else n: v for n, v in model.items()}
        for state, words in (({"_orig_mod.module." + n: v for n, v in model.items()}, ("'_orig_mod.' and 'module.'",)),
                             ({"module._orig_mod.net.model." + n: v for n, v in model.items()}, ("'net.'",)),
                             (averaged, ("n_averaged",)), (inside, ("_orig_mod",))):
            said = self.weights(self.write("model.bin", state))
            for word in words:
                self.assertIn(word, said)
            for name, values in self.read().items():
                np.testing.assert_array_equal(values, model[name])
        for wrapped in ({"state_dict": model, "epoch": 3}, {"model": {"net": model}}, {"model_state_dict": model, "optimizer": {}}):
            said = self.weights(self.pickle("checkpoint.pkl", wrapped))
            self.assertIn(f"took the entry '{next(iter(wrapped))}'", said)
            np.testing.assert_array_equal(self.read()["queue"], model["queue"])

    def test_halves(self) -> None:
        model = {n: np.round(v * 8) / 8 if v.dtype == np.float32 else v for n, v in self.model().items()}
        safetensors_file.save(self.path("half.safetensors"), {
            n: v.astype(np.float16) if v.dtype == np.float32 else v for n, v in model.items()})
        # bfloat16 is the upper half of a float32.
        specs = {n: {"dtype": "bfloat16" if v.dtype == np.float32 else "int64", "shape": v.shape, "data": (
            (np.ascontiguousarray(v).view(np.uint32) >> 16).astype(np.uint16) if v.dtype == np.float32 else v).tobytes()}
            for n, v in model.items()}
        header, data = {}, b""
        for n, spec in specs.items():
            header[n] = {"dtype": "BF16" if spec["dtype"] == "bfloat16" else "I64", "shape": spec["shape"],
                         "data_offsets": [len(data), len(data) + len(spec["data"])]}
            data += spec["data"]
        text = json.dumps(header).encode()
        self.bytes("bfloat.safetensors", len(text).to_bytes(8, "little") + text + data)
        for source in ("half", "bfloat"):
            self.weights(self.path(source + ".safetensors"), output="m.pt")
            for name, values in pickle_file.load(self.path("m.pt"), Workspace()).items():
                np.testing.assert_array_equal(values, model[name], name)

    def test_the_name_of_the_output_decides(self) -> None:
        model = self.model()
        self.write("model.bin", model)
        safetensors_file.save(self.path("half.safetensors"), {
            n: v.astype(np.float16) if v.dtype == np.float32 else v for n, v in model.items()})
        for source in ("half.safetensors", "model.bin"):
            for output, word in (("o.safetensors", "a safetensors file"), ("o.SafeTensors", "a safetensors file"),
                                 ("o.pt", "a PyTorch state dict"), ("o.pth", "a PyTorch state dict"),
                                 ("o.bin", "a PyTorch state dict")):
                self.assertIn(f"{output}: {word} of", self.weights(self.path(source), output=output))
                read = (self.read(output) if "safetensors" in word else pickle_file.load(self.path(output), Workspace()))
                self.assertEqual(list(sorted(read)), list(sorted(model)))
                np.testing.assert_allclose(read["agg.output.bias"], model["agg.output.bias"], rtol=1e-3)
        for output in ("o", "o.npz", "o.safetensors.tmp"):
            self.assert_refused(self.run_script("weights", self.path("model.bin"), self.path(output)), 64,
                                f"{output}.safetensors", ".pth")
            self.assertFalse(os.path.exists(self.path(output)))

    def test_unfilled_queue_of_the_released_code(self) -> None:
        model = self.model()
        model["queue_label"][3:6] = [[0.71], [-1.2], [99]]
        self.assertIn("3 rows of the queue", self.weights(self.write("m.bin", model)))
        np.testing.assert_array_equal(self.read()["queue_label"][3:6], -np.ones((3, 1)))

    def test_training_state_is_left_out(self) -> None:
        model = self.model()
        state = {**model, **{"first_moment." + n: v for n, v in model.items()}, "step": np.array([3], np.int64)}
        safetensors_file.save(self.path("state.safetensors"), state)
        self.assertIn("left out", self.weights(self.path("state.safetensors"), output="m.pt"))

    def test_positions(self) -> None:
        self.weights(self.write("m.bin", self.model()), "--positions", "7,7,3")
        self.assertEqual(self.read()["audio.embeddings.position_embeddings.weight"].shape, (3, 8))
        self.assert_refused(self.run_script("weights", self.path("m.bin"), self.path("x.pt"), "--positions", "8,7,3"), 65, "8")

    def test_refused(self) -> None:
        def refuse(model: dict, *words: str) -> None:
            path = self.write("bad.bin", model)
            self.assert_refused(self.run_script("weights", path, self.path("x.safetensors")), 65, *words)

        refuse({n: v for n, v in self.model().items() if "pooler" not in n}, "6 missing: text.pooler.dense.weight")
        refuse({**self.model(), "more": np.zeros(2, np.float32)}, "1 unexpected: more")
        refuse({**self.model(), "agg.output.bias": np.zeros(2, np.float32)}, "agg.output.bias (2,) instead of (3,)")
        refuse({"weight": np.zeros((2, 2), np.float32)}, "text_clf_weight", "the file has weight")
        refuse({**self.model(), "queue_ptr": np.array([20], np.int64)}, "queue_ptr")
        refuse({**self.model(), "agg.output.bias": np.full(3, np.nan, np.float32)}, "finite")
        path = self.bytes("p", pickle.dumps({"text_clf_weight": [1]}))
        self.assert_refused(self.run_script("weights", path, self.path("x.pt")), 65, "a tensor")
        with open(self.write("m.bin", self.model()), "rb") as file:
            cut = self.bytes("cut.bin", file.read()[:5000])
        self.assert_refused(self.run_script("weights", cut, self.path("x.pt")), 65)
        self.assert_refused(self.run_script("weights", self.path("m.bin"), self.path("m.bin")), 73, "--force")
        self.assert_refused(self.run_script("weights", self.path("m.bin"), self.path("none/x.pt")), 73)
        self.assertFalse([n for n in os.listdir(self.directory) if n.startswith((".", "x"))])

    def test_a_storage_that_is_smaller_than_its_tensor(self) -> None:
        path = self.write("m.bin", self.model())
        with zipfile.ZipFile(path) as archive:
            entries = {n: archive.read(n) for n in archive.namelist()}
        entries["archive/data/0"] = entries["archive/data/0"][:-4]
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        self.assert_refused(self.run_script("weights", path, self.path("x.pt")), 65, "92 bytes for a storage of 24 elements")


if __name__ == "__main__":
    unittest.main()
