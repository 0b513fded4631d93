"""Files that torch itself wrote, and ours as torch reads them. Skipped where torch is missing."""
import unittest

import numpy as np
from carat.formats import pickle_file
from carat.formats.mapped import Workspace
from support import COUNTS, FileTestCase, aligned

try:
    import carat_reference
    import torch
except ImportError:
    torch = None


@unittest.skipIf(torch is None, "no torch")
class TorchTests(FileTestCase):
    def load(self, path: str) -> dict:
        return pickle_file.load(path, Workspace())

    def test_tensors_of_every_kind(self) -> None:
        base = torch.randn(6, 5)
        saved = {"plain": base, "view": base[2:4, 1:], "transposed": base.t(), "scalar": torch.tensor(2.5), "empty": base[:0],
                 "half": base.half(), "bf16": base.bfloat16(), "double": base.double(), "long": torch.arange(4),
                 "bool": base > 0, "parameter": torch.nn.Parameter(base), "array": np.random.randn(100, 3),
                 "list": [[2, 4, 3]], "size": base.shape, "dtype": base.dtype}
        for zipped in (True, False):
            torch.save(saved, self.path("t.pt"), _use_new_zipfile_serialization=zipped)
            read = self.load(self.path("t.pt"))
            for name, value in saved.items():
                if isinstance(value, torch.Tensor):
                    value = value.detach()
                    wanted = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
                    np.testing.assert_array_equal(read[name], wanted, name)
            np.testing.assert_array_equal(read["array"], saved["array"])
            self.assertEqual(read["list"], [[2, 4, 3]])

    def test_tensors_of_pickle(self) -> None:
        base = torch.randn(6, 5)
        tensors = {"plain": base, "view": base[2:4, 1:], "half": base.half(), "parameter": torch.nn.Parameter(base)}
        for protocol in (2, 4, 5):
            read = self.load(self.pickle("t.pkl", tensors, protocol))
            for name, value in tensors.items():
                np.testing.assert_array_equal(read[name], value.detach().numpy(), name)

    def test_data_set(self) -> None:
        content, labels = aligned(self.random)
        content["valid"]["src-text"] = torch.tensor(content["valid"]["src-text"])
        content["test"]["src-visual"] = [torch.tensor(x) for x in content["test"]["src-visual"]]
        for zipped in (True, False):
            torch.save(content, self.path("d.pt"), _use_new_zipfile_serialization=zipped)
            read = self.convert(self.path("d.pt"), output=f"out{zipped}")
            for split in COUNTS:
                t = read["tensors"][split]
                np.testing.assert_array_equal(t["labels"], labels[split])
                np.testing.assert_array_equal(t["text"], np.asarray(content[split]["src-text"], np.float32))
                np.testing.assert_array_equal(t["visual"], np.asarray([np.asarray(x) for x in content[split]["src-visual"]]))

    def test_the_model_there_and_back(self) -> None:
        for is_aligned in (True, False):
            model = carat_reference.CARAT(carat_reference.Config(
                hidden=32, heads=4, intermediate=48, latent=16, queue=100, layers=(2, 1, 1), aligned=is_aligned))
            for zipped in (True, False):
                torch.save(model.state_dict(), self.path("model.bin"), _use_new_zipfile_serialization=zipped)
                for source, output in (("model.bin", "w.safetensors"), ("w.safetensors", "back.pt")):
                    done = self.run_script("weights", self.path(source), self.path(output), "--force")
                    self.assertEqual(done.returncode, 0, done.stderr)
                back = torch.load(self.path("back.pt"), weights_only=True)
                model.load_state_dict(back)
                self.assertEqual(list(back), list(model.state_dict()))
                for name, value in model.state_dict().items():
                    self.assertEqual(back[name].dtype, value.dtype)
                    self.assertTrue(torch.equal(back[name], value), name)
            mapped = torch.load(self.path("back.pt"), mmap=True, weights_only=True)
            self.assertTrue(torch.equal(mapped["queue"], model.queue))


if __name__ == "__main__":
    unittest.main()
