"""Computational sequences of the CMU Multimodal SDK."""
import json
import os
import unittest

import numpy as np
from support import EMOTIONS, FileTestCase

try:
    import h5py
except ImportError:
    h5py = None

FOLDS = {"train": ["v0", "v1", "v2"], "valid": ["v3"], "test": ["v4"]}


@unittest.skipIf(h5py is None, "no h5py")
class ComputationalSequenceTests(FileTestCase):
    def sequence(self, name: str, root: str, entries: dict) -> str:
        with h5py.File(self.path(name), "w") as file:
            for key, (features, intervals) in entries.items():
                group = file.create_group(f"{root}/data/{key}")
                group["features"], group["intervals"] = features, intervals
            file.create_group(f"{root}/metadata")["md5"] = b"0"
        return self.path(name)

    def raw(self) -> None:
        """Five videos of 10 seconds, two labelled segments each; words twice, frames five times, sound ten times a second."""
        words, frames, sound, labels = {}, {}, {}, {}
        for v in range(6):                                                   # the folds do not know v5
            for store, rate, width in ((words, 2, 4), (frames, 5, 3), (sound, 10, 2)):
                n = 10 * rate
                start = np.arange(n) / rate
                store[f"v{v}"] = (self.random.standard_normal((n, width)), np.stack([start, start + 1 / rate], 1))
            labels[f"v{v}"] = (np.array([[-1, v, 0, 0, 0.3, 0, 0], [2, 0, 0, 0, 0, 0, 1]], np.float32),
                               np.array([[0, 4], [4, 10]], np.float32))
        sound["v0"][0][3] = [-np.inf, np.nan]
        del frames["v2"]
        self.words, self.frames, self.sound = words, frames, sound
        os.mkdir(self.path("csd"))
        self.sequence("csd/CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", words)
        self.sequence("csd/CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", frames)
        self.sequence("csd/CMU_MOSEI_COVAREP.csd", "COVAREP", sound)
        self.sequence("csd/CMU_MOSEI_Labels.csd", "All Labels", labels)
        self.bytes("folds.json", json.dumps(FOLDS).encode())

    def test_unaligned_segments(self) -> None:
        self.raw()
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"))
        t = read["tensors"]["train"]
        self.assertEqual(read["label_names"], EMOTIONS)
        self.assertEqual(t["labels"].tolist(), [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]])
        self.assertEqual(t["text_length"].tolist(), [8, 12, 8, 12])
        self.assertEqual(t["audio"].shape, (4, 60, 2))
        np.testing.assert_allclose(t["text"][1], self.words["v0"][0][8:].astype(np.float32))
        np.testing.assert_allclose(t["visual"][0, :20], self.frames["v0"][0][:20].astype(np.float32))
        self.assertEqual(t["audio"][0, 3].tolist(), [-np.inf, 0])
        self.assertEqual([n for n in read["notes"] if not n.startswith("labels:")],
                         ["2 segments left out: the folds do not name their video",
                          "2 segments left out: a modality has no step in them"])

    def test_aligned_to_words(self) -> None:
        self.raw()
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"), "--align", "words")
        t = read["tensors"]["train"]
        for m in ("text", "visual", "audio"):
            self.assertEqual(t[f"{m}_length"].tolist(), [8, 12, 8, 12])
        np.testing.assert_allclose(t["audio"][1, 2], self.sound["v0"][0][50:55].mean(0), rtol=1e-5)
        self.assertEqual(read["splits"]["train"]["modalities"]["audio"]["shape"], [4, 12, 2])

    def test_segments_of_the_sdk(self) -> None:
        parts: dict = {m: {} for m in ("text", "visual", "audio", "labels")}
        for v in range(5):
            for segment in range(2):
                key, n = f"v{v}[{segment}]", 3 + segment
                for m, width in (("text", 4), ("visual", 3), ("audio", 2)):
                    parts[m][key] = (self.random.standard_normal((n, width)), np.zeros((n, 2)))
                parts["labels"][key] = (np.array([[1, 0, 1, 0, 0, 0, 0]], np.float32), np.zeros((1, 2)))
        files = [self.sequence(f"{m}.h5", root, parts[m]) for m, root in (
            ("text", "glove_vectors"), ("visual", "OpenFace_2"), ("audio", "COAVAREP"), ("labels", "All Labels"))]
        read = self.convert(*files, "--folds", self.bytes("std_folds.py", "".join(
            f"standard_{s}_fold = {v!r}\n" for s, v in FOLDS.items()).encode()))
        self.assertEqual(read["tensors"]["train"]["text_length"].tolist(), [3, 4] * 3)
        np.testing.assert_allclose(read["tensors"]["test"]["visual"][1, :4], parts["visual"]["v4[1]"][0].astype(np.float32))

    def test_refused(self) -> None:
        self.raw()
        out = ("-o", self.path("out"))
        self.assert_refused(self.run_script("convert", self.path("csd"), *out), 64, "--folds")
        wicked = self.bytes("f.py", f"standard_train_fold = open({self.path('w')!r}, 'w')".encode())
        self.assert_refused(self.run_script("convert", self.path("csd"), "--folds", wicked, *out), 65)
        self.assertFalse(os.path.exists(self.path("w")))
        one = self.path("csd/CMU_MOSEI_COVAREP.csd")
        self.assert_refused(self.run_script("convert", one, "--folds", self.path("folds.json"), *out), 64, "--keys")
        with open(one, "rb") as file:
            cut = self.bytes("cut.csd", file.read()[:3000])
        self.assertIn(self.run_script("convert", cut, "--folds", self.path("folds.json"), *out).returncode, (64, 65))


if __name__ == "__main__":
    unittest.main()
