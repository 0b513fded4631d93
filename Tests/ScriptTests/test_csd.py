"""Computational sequences of the CMU Multimodal SDK."""
import json
import os
import unittest
from typing import Optional

import numpy as np
from support import EMOTIONS, ContradictionTestCase

try:
    import h5py
except ImportError:
    h5py = None

FOLDS = {"train": ["v0", "v1", "v2"], "valid": ["v3"], "test": ["v4"]}


@unittest.skipIf(h5py is None, "no h5py")
class ComputationalSequenceTests(ContradictionTestCase):
    def sequence(self, name: str, root: str, entries: dict, columns: Optional[list] = None) -> str:
        with h5py.File(self.path(name), "w") as file:
            for key, (features, intervals) in entries.items():
                group = file.create_group(f"{root}/data/{key}")
                group["features"], group["intervals"] = features, intervals
            metadata = file.create_group(f"{root}/metadata")
            metadata["md5"] = b"0"
            if columns is not None:
                metadata.create_dataset("dimension names", (1,), h5py.string_dtype())[0] = json.dumps(columns)
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
        self.assertEqual(t["labels"].tolist(),
                         [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]])
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

    def test_parts_of_a_video_with_other_features(self) -> None:
        """COVAREP of 43 and 74 features within one video, cut to its words."""
        self.raw()
        parts = {}
        for video, (features, times) in self.sound.items():
            for word in range(20):
                steps = slice(5 * word, 5 * word + 5)
                wide = np.pad(features[steps], ((0, 0), (0, 3)), constant_values=9) if (video, word) == ("v1", 3) else features[steps]
                parts[f"{video}[{word}]"] = (wide, times[steps])
        os.unlink(self.path("csd/CMU_MOSEI_COVAREP.csd"))
        self.sequence("csd/CMU_MOSEI_COVAREP.csd", "COVAREP", parts)
        arguments = [self.path("csd"), "--folds", self.path("folds.json")]
        self.refused(*arguments, words=("parts of 'v1'", "2 in 119 parts, 5 in 1 parts", "--mixed-features"))
        cut = self.convert(*arguments, "--mixed-features", "cut", output="cut")["tensors"]["train"]["audio"]
        np.testing.assert_allclose(cut[2, :40], self.sound["v1"][0][:40].astype(np.float32))
        left = self.convert(*arguments, "--mixed-features", "leave-out", output="left")
        self.assertEqual(left["tensors"]["train"]["audio_length"][2], 35)
        self.assert_note(left, "the 1 parts without 2 are left out")

    def test_segments_of_the_sdk(self) -> None:
        parts: dict = {m: {} for m in ("text", "visual", "audio", "labels")}
        for v in range(5):
            for segment in range(2):
                key, n = f"v{v}[{segment}]", 3 + segment
                for m, width in (("text", 4), ("visual", 3), ("audio", 2)):
                    parts[m][key] = (self.random.standard_normal((n, width)), np.zeros((n, 2)))
                # No times: only names tell. No column is negative: only the names of the columns tell.
                parts["labels"][key] = (np.array([[1, 0, 1, 0, 0, 0, 0]], np.float32), np.zeros((1, 2)))
        files = [self.sequence(f"{m}.h5", root, parts[m]) for m, root in (
            ("text", "glove_vectors"), ("visual", "OpenFace_2"), ("audio", "COAVAREP"), ("labels", "All Labels"))]
        files[-1] = self.sequence("labels.h5", "All Labels", parts["labels"], ["sentiment", *EMOTIONS])
        read = self.convert(*files, "--folds", self.bytes("std_folds.py", "".join(
            f"standard_{s}_fold = {v!r}\n" for s, v in FOLDS.items()).encode()))
        self.assertEqual(read["tensors"]["train"]["labels"].tolist(), [[0, 1, 0, 0, 0, 0]] * 6)
        self.assertEqual(self.read_ids(read, "test"), ["v4[0]", "v4[1]"])
        self.assert_note(read, "have no times: taken for the segments of their names")
        self.assertEqual(read["tensors"]["train"]["text_length"].tolist(), [3, 4] * 3)
        np.testing.assert_allclose(read["tensors"]["test"]["visual"][1, :4], parts["visual"]["v4[1]"][0].astype(np.float32))

    def words(self, missing: bool = False) -> None:
        """Every video of `raw` aligned to its words by the SDK: a name a word, of half a second."""
        self.raw()
        for file, root, store in (("CMU_MOSEI_TimestampedWordVectors", "glove_vectors", self.words),
                                  ("CMU_MOSEI_VisualFacet42", "FACET 4.2", self.frames),
                                  ("CMU_MOSEI_COVAREP", "COVAREP", self.sound)):
            entries = {}
            for v in range(5):
                times = np.arange(20) / 2
                for w, start in enumerate(times):
                    if missing and file.endswith("COVAREP") and (v, w) == (0, 9):
                        continue
                    entries[f"v{v}[{w}]"] = (np.full((1, store["v0"][0].shape[1]), 100 * v + w + 1.0),
                                             np.array([[start, start + 0.5]]))
            self.sequence(f"csd/{file}.csd", root, entries)

    def test_words_go_into_the_segment_whose_interval_holds_them(self) -> None:
        self.words()
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"))
        t = read["tensors"]["train"]
        self.assertEqual(self.read_ids(read, "train"), [f"v{v}[{i}]" for v in range(3) for i in range(2)])
        self.assertEqual(t["labels"][:2].tolist(), [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]])
        for m in ("text", "visual", "audio"):
            self.assertEqual(t[f"{m}_length"].tolist(), [8, 12] * 3)
            self.assertEqual(t[m][0, :, 0].tolist(), [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0])
            self.assertEqual(t[m][3, :, 0].tolist(), list(range(109, 121)))
        self.assert_note(read, "text: parts of videos (words)")

    def test_a_word_that_a_modality_lacks(self) -> None:
        self.words(missing=True)
        t = self.convert(self.path("csd"), "--folds", self.path("folds.json"))["tensors"]["train"]
        self.assertEqual(t["audio"][1, :, 0].tolist(), [9, 0, *range(11, 21)])
        self.assertEqual(t["text"][1, :, 0].tolist(), list(range(9, 21)))

    def test_one_segment_a_video_is_not_its_first_word(self) -> None:
        self.words()
        self.sequence("csd/CMU_MOSEI_Labels.csd", "All Labels", {
            f"v{v}": (np.array([[-1, 1, 0, 0, 0, 0, 0]]), np.array([[0, 10.0]])) for v in range(5)})
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"))
        self.assertEqual(read["tensors"]["train"]["text"].shape, (3, 20, 4))

    def test_parts_whose_times_begin_anew(self) -> None:
        self.words()
        self.sequence("csd/CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", {
            f"v{v}[{w}]": (np.ones((1, 4)), np.array([[0, 0.5]])) for v in range(5) for w in range(20)})
        self.refused(self.path("csd"), "--folds", self.path("folds.json"), words=("all start at 0 s",))

    def test_segments_by_name_are_checked_by_time(self) -> None:
        parts: dict = {m: {} for m in ("text", "visual", "audio", "labels")}
        for v in range(5):
            for segment in range(3):
                for m, width in (("text", 4), ("visual", 3), ("audio", 2)):
                    start = 10.0 * segment + np.arange(5) * 2
                    parts[m][f"v{v}[{segment}]"] = (np.full((5, width), segment + 1.0), np.stack([start, start + 2], 1))
                parts["labels"][f"v{v}[{segment}]"] = (np.array([[-1.0 - segment, 1, 0, 1, 0, 0, 0]]),
                                                       np.array([[10.0 * segment, 10.0 * segment + 10]]))
        files = {m: self.sequence(f"{m}.h5", root, parts[m]) for m, root in (
            ("text", "glove_vectors"), ("visual", "OpenFace_2"), ("audio", "COAVAREP"), ("labels", "All Labels"))}
        folds = self.bytes("folds.json", json.dumps(FOLDS).encode())
        read = self.convert(*files.values(), "--folds", folds)
        self.assertEqual(read["tensors"]["train"]["text"][:3, :, 0].tolist(), [[1] * 5, [2] * 5, [3] * 5])
        parts["audio"]["v1[2]"] = (parts["audio"]["v1[2]"][0], parts["audio"]["v1[2]"][1] - 20)
        self.sequence("audio.h5", "COAVAREP", parts["audio"])
        self.refused(*files.values(), "--folds", folds, words=("v1[2]", "20 to 30 s", "0 to 10 s"))

    def test_steps_out_of_the_order_of_time(self) -> None:
        self.raw()
        wanted = self.convert(self.path("csd"), "--folds", self.path("folds.json"), output="wanted")
        order = self.random.permutation(20)
        self.words["v1"] = tuple(array[order] for array in self.words["v1"])
        self.sequence("csd/CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", self.words)
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"))
        for name, tensor in wanted["tensors"]["train"].items():
            np.testing.assert_array_equal(read["tensors"]["train"][name], tensor)
        self.assert_note(read, "text: steps of 1 videos were not in the order of time")
        self.words["v1"][1][4] = [5, 4]
        self.sequence("csd/CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", self.words)
        self.refused(self.path("csd"), "--folds", self.path("folds.json"), words=("'v1'", "5 to 4 in row 4"))

    def test_all_that_is_wrong_at_once(self) -> None:
        self.raw()
        arguments = (self.path("csd"), "--folds", self.path("folds.json"))
        self.words["v1"][1][4] = [5, 4]
        self.words["v3"] = (self.words["v3"][0][:-1], self.words["v3"][1])
        self.sound["v4"] = (np.zeros((100, 0)), self.sound["v4"][1])
        self.sequence("csd/CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", self.words)
        self.sequence("csd/CMU_MOSEI_COVAREP.csd", "COVAREP", self.sound)
        self.refused(*arguments, words=("3 things are wrong", "'v1' from start to end", "each of 19 steps of 'v3'",
                                        "features of 'v4'"))
        for name in ("TimestampedWordVectors", "VisualFacet42"):
            self.bytes(f"csd/CMU_MOSEI_{name}.csd", b"<!DOCTYPE html>")
        self.refused(*arguments, words=("2 things are wrong", "WordVectors.csd", "Facet42.csd"))

    def test_columns_as_the_file_names_them(self) -> None:
        self.raw()
        labels = {f"v{v}": (np.array([[0, 1, -2, 0, 2], [1, 0, 3, 0, 0]], float), np.array([[0, 4], [4, 10.0]]))
                  for v in range(5)}
        self.sequence("csd/CMU_MOSEI_Labels.csd", "All Labels", labels, ["Sad", "joy", "sentiment", "Fear", "calm"])
        arguments = (self.path("csd"), "--folds", self.path("folds.json"))
        read = self.convert(*arguments)
        self.assertEqual(read["label_names"], ["sad", "joy", "fear", "calm"])
        self.assertEqual(read["tensors"]["test"]["labels"].tolist(), [[0, 1, 0, 1], [1, 0, 0, 0]])
        read = self.convert(*arguments, "--label-names", "calm,sad", output="two")
        self.assertEqual(read["tensors"]["test"]["labels"].tolist(), [[1, 0], [0, 1]])
        read = self.convert(*arguments, "--sentiment-classes", "3", output="three")
        self.assertEqual(read["tensors"]["test"]["labels"].tolist(), [[1, 0, 0], [0, 0, 1]])
        self.refused(*arguments, "--label-names", "calm,happy", words=("calm, happy", "sad, joy, fear, calm"))
        self.sequence("csd/CMU_MOSEI_Labels.csd", "All Labels", labels, ["sad", "joy"])
        self.refused(*arguments, words=("each of 5 columns",))

    def test_sequences_of_other_names_and_modalities(self) -> None:
        self.raw()
        os.rename(self.path("csd/CMU_MOSEI_COVAREP.csd"), self.path("csd/x.csd"))
        self.sequence("csd/x.csd", "MFCC", self.sound)
        self.sequence("csd/y.csd", "pulse", {v: (f[:, :1], t) for v, (f, t) in self.frames.items()})
        arguments = (self.path("csd"), "--folds", self.path("folds.json"))
        self.refused(*arguments, status=64, words=("for audio among", "MFCC", "--keys audio=FILE"))
        for i, key in enumerate(("MFCC", "x.csd", self.path("csd/x.csd"))):
            read = self.convert(*arguments, "--keys", f"audio={key},pulse=pulse", "--modalities", "audio,pulse",
                                output=f"out{i}")
            self.assertEqual(read["metadata"]["train"]["modalities"], "audio,pulse")
            self.assertEqual(read["tensors"]["test"]["audio"].shape[2], 2)
        self.refused(*arguments, "--split", "0.8,0.1,0.1", status=64)
        read = self.convert(self.path("csd"), "--split", "0.6,0.2,0.2", "--keys", "audio=x.csd", output="split")
        self.assertEqual({n[:2] for s in FOLDS for n in self.read_ids(read, s)}, {"v0", "v1", "v3", "v4", "v5"})

    def test_a_sequence_that_is_not_used_is_said(self) -> None:
        self.raw()
        self.sequence("csd/pose.csd", "Pose", self.sound)
        read = self.convert(self.path("csd"), "--folds", self.path("folds.json"))
        self.assertIn(f"not used: {self.path('csd/pose.csd')} (Pose)", read["notes"])

    def test_features_of_two_sizes(self) -> None:
        self.raw()
        self.sound["v1"] = (self.sound["v1"][0][:, :1], self.sound["v1"][1])
        self.sequence("csd/CMU_MOSEI_COVAREP.csd", "COVAREP", self.sound)
        arguments = (self.path("csd"), "--folds", self.path("folds.json"))
        self.refused(*arguments, words=("2 in 6 samples, 1 in 2 samples", "'v1[0]'"))
        left = self.convert(*arguments, "--mixed-features", "leave-out")
        self.assertEqual(self.read_ids(left, "train"), ["v0[0]", "v0[1]"])
        cut = self.convert(*arguments, "--mixed-features", "cut", output="cut")
        self.assertEqual(cut["tensors"]["train"]["audio"].shape, (4, 60, 1))

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
