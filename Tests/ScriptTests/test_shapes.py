"""scripts/convert takes arrays and files as people have them."""
import os
import unittest

import numpy as np
from carat.formats import safetensors_file
from carat.formats.mapped import Workspace
from support import COUNTS, ContradictionTestCase, m3ed

NAMES = ("text", "vision", "audio")


class ArrayTests(ContradictionTestCase):
    def test_numbers_of_every_kind(self) -> None:
        kinds = ["i1", "u2", "i8", ">i4", "?", "f2", ">f2", "f8", ">f8", "F", "f4"]
        content = self.content()
        for kind in kinds:
            for fields in content.values():
                shape = fields["text"].shape
                array = self.random.integers(0, 2, shape) if kind == "?" else 9 * self.random.random(shape)
                fields["text"] = np.asfortranarray(array) if kind == "F" else array.astype(kind)
            for number, path in enumerate((self.pickle("f.pkl", content), self.npz("f.npz", content))):
                read = self.convert(path, output=f"{kinds.index(kind)}{number}")
                for split in COUNTS:
                    np.testing.assert_array_equal(read["tensors"][split]["text"], content[split]["text"].astype(np.float32),
                                                  kind)

    def npz(self, name: str, content: dict) -> str:
        np.savez(self.path(name), **{f"{s}_{k}": v for s, f in content.items() for k, v in f.items()})
        return self.path(name)

    def test_npz_in_all_ways(self) -> None:
        content = self.content()
        wanted = self.convert(self.npz("f.npz", content), output="wanted")
        np.savez(self.path("suffix.npz"), **{f"{k}_{s}": v for s, f in content.items() for k, v in f.items()})
        os.mkdir(self.path("splits"))
        os.mkdir(self.path("pickles"))
        for split, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
            np.savez_compressed(self.path(f"splits/{name}.npz"), **content[split])
            self.pickle(f"pickles/{name}.pkl", content[split])
        for path in ("suffix.npz", "splits", "pickles"):
            read = self.convert(self.path(path), output=path + ".out")
            for split in COUNTS:
                self.assertEqual(sorted(read["tensors"][split]), sorted(wanted["tensors"][split]))
                for name, tensor in wanted["tensors"][split].items():
                    np.testing.assert_array_equal(read["tensors"][split][name], tensor)
        self.refused(self.path("splits/train.npz"), words=("--split", "a directory"))
        os.unlink(self.path("splits/dev.npz"))
        self.refused(self.path("splits"), words=("a split valid",))

    def test_without_time(self) -> None:
        content = self.content()
        for fields in content.values():
            fields["text"] = fields["text"][:, 0]
            del fields["text_lengths"]
        read = self.convert(self.pickle("f.pkl", content))
        np.testing.assert_array_equal(read["tensors"]["valid"]["text"][:, 0], content["valid"]["text"])
        self.assert_note(read, "text: has no steps in time")

    def test_keys(self) -> None:
        content = self.content()
        renamed = {"text": "glove", "vision": "facet", "audio": "covarep", "emotion_labels": "y", "id": "who",
                   "audio_lengths": "n"}
        other = {s: {renamed.get(k, k): v for k, v in f.items()} for s, f in content.items()}
        keys = "text=glove,visual=facet,audio=covarep,labels=y,id=who,audio_length=n"
        wanted = self.convert(self.pickle("f.pkl", content), output="w")
        read = self.convert(self.pickle("g.pkl", other), "--keys", keys)
        for split in COUNTS:
            for name, tensor in wanted["tensors"][split].items():
                np.testing.assert_array_equal(read["tensors"][split][name], tensor)
        said = self.refused(self.path("g.pkl"), words=("facet [12, 10, 5]", "--keys visual=NAME,audio=NAME"))
        self.assertEqual(len(said.splitlines()), 3)                          # besides, it has no labels
        self.refused(self.path("g.pkl"), "--keys", keys.replace("=who", "=whom"), words=("'whom'",))
        self.refused(self.path("g.pkl"), "--keys", keys.replace("=n", "=m"), words=("audio_length in 'm'",))
        for wrong in ("text", "text=", "=a", "text=a,text=b", "labels_length=a", ""):
            self.refused(self.path("g.pkl"), "--keys", wrong, status=64)

    def test_other_modalities(self) -> None:
        content = self.content()
        for fields in content.values():
            fields["pulse"] = self.random.standard_normal((len(fields["id"]), 4, 1))
        path = self.pickle("f.pkl", content)
        cases = {"text,audio": ["--modalities", "text,audio"], "text,visual,audio,heart": ["--keys", "heart=pulse"],
                 "pulse": ["--modalities", "pulse"], "audio,pulse,text": ["--modalities", "audio,pulse,text"]}
        for modalities, arguments in cases.items():
            read = self.convert(path, *arguments, output=modalities)
            tensors = {"text": "text", "visual": "vision", "audio": "audio", "pulse": "pulse", "heart": "pulse"}
            for split in COUNTS:
                self.assertEqual(read["metadata"][split]["modalities"], modalities)
                self.assertEqual({n for n in read["tensors"][split] if not n.endswith("_length")},
                                 {*modalities.split(","), "labels", "ids"})
                for m in modalities.split(","):
                    np.testing.assert_array_equal(read["tensors"][split][m], content[split][tensors[m]].astype(np.float32))
        self.assertNotIn("modalities", self.convert(path, output="three")["metadata"]["train"])
        self.refused(path, "--modalities", "labels", status=64)
        self.refused(path, "--modalities", "text,audio", "--max-steps", "4,4,4", status=64, words=("each of text, audio",))

    def test_what_is_not_used_is_said(self) -> None:
        content = self.content()
        labels = self.pickle("l.pkl", self.shuffled_labels(content))
        read = self.convert(self.pickle("f.pkl", content))
        self.assertFalse([note for note in read["notes"] if "not used" in note])
        for fields in content.values():
            fields["pose"] = np.zeros((len(fields["id"]), 4, 2), np.float32)
        content["valid"]["words"] = ["so it goes"] * 5
        content["gaze"] = np.zeros((24, 3))
        path = self.pickle("f.pkl", content)
        self.assert_note(self.convert(path, output="more"), "not used: pose [12, 4, 2], words list of 5 in split valid, "
                         "gaze [24, 3], in no split; see --modalities")
        read = self.convert(path, "--modalities", "text,pose,vision", output="pose")
        self.assert_note(read, "not used: audio [12, 10, 6], audio_lengths [12], words")
        self.assertEqual(read["tensors"]["test"]["pose"].shape, (7, 4, 2))
        self.assert_note(self.convert(path, "--labels", labels, output="labels"),
                         "not used: emotion_labels [12, 6], pose")
        flat = {f"{split}_{name}": value for split in COUNTS for name, value in content[split].items()}
        np.savez(self.path("f.npz"), gaze=np.zeros((24, 3)), **flat)
        self.assert_note(self.convert(self.path("f.npz"), output="npz"), "gaze [24, 3], in no split")

    def test_mixed_features(self) -> None:
        content = self.content()
        for fields in content.values():
            for m in NAMES:
                fields[m] = [row[:length] for row, length in zip(fields[m], fields.pop(f"{m}_lengths"))]
        content["train"]["audio"][3] = content["train"]["audio"][3][:, :4]
        content["test"]["audio"][0] = content["test"]["audio"][0][:, :4]
        path = self.pickle("f.pkl", content)
        self.refused(path, words=("6 in 22 samples, 4 in 2 samples", "split train, row 3 ('train0$_$3')", "--mixed-features"))
        cut = self.convert(path, "--mixed-features", "cut", output="cut")
        self.assertEqual(cut["tensors"]["train"]["audio"].shape[2], 4)
        self.assert_note(cut, "audio: number of features: 6 in 22 samples, 4 in 2 samples; all cut to the first 4")
        for split in COUNTS:
            for i, row in enumerate(content[split]["audio"]):
                np.testing.assert_array_equal(cut["tensors"][split]["audio"][i, :len(row)], row[:, :4])
        left = self.convert(path, "--mixed-features", "leave-out", output="left")
        kept = [i for i in range(12) if i != 3]
        self.assertEqual(self.read_ids(left, "train"), [content["train"]["id"][i] for i in kept])
        np.testing.assert_array_equal(left["tensors"]["train"]["labels"], self.truth(content, "train")[kept])
        for row, i in enumerate(kept):
            np.testing.assert_array_equal(left["tensors"]["train"]["visual"][row, :len(content["train"]["vision"][i])],
                                          content["train"]["vision"][i])
        self.assertEqual([len(left["tensors"][s]["labels"]) for s in COUNTS], [11, 5, 6])
        self.assert_note(left, "audio: number of features: 6 in 22 samples, 4 in 2 samples; the 2 samples without 6 are left out")

    def test_numbers_of_words_are_no_features(self) -> None:
        content = self.content()
        for fields in content.values():
            fields["text"] = [np.arange(k) for k in fields.pop("text_lengths")]
        self.refused(self.pickle("f.pkl", content), words=("numbers of words",))
        for fields in content.values():
            fields["text"] = [["so", "it", "goes"] for _ in fields["id"]]
        self.refused(self.pickle("f.pkl", content), words=("text",))


class SplitTests(ContradictionTestCase):
    def whole(self, n: int = 60) -> dict:
        return {"text": self.random.standard_normal((n, 3, 4)), "vision": self.random.standard_normal((n, 2, 3)),
                "audio": self.random.standard_normal((n, 5, 2)), "labels": (self.random.random((n, 6)) < 0.4).astype(int),
                "id": [f"v{i // 3}[{i % 3}]" for i in range(n)]}

    def test_one_file_without_splits(self) -> None:
        content = self.whole()
        np.savez(self.path("f.npz"), **content)
        for path in (self.path("f.npz"), self.pickle("f.pkl", content)):
            read = self.convert(path, "--split", "0.7,0.1,0.2", "--seed", "3", output=path + ".out")
            seen = {}
            for split in COUNTS:
                for row, name in enumerate(self.read_ids(read, split)):
                    i = content["id"].index(name)
                    seen[i] = split
                    for m, key in (("text", "text"), ("visual", "vision"), ("audio", "audio"), ("labels", "labels")):
                        np.testing.assert_array_equal(read["tensors"][split][m][row], np.asarray(content[key][i], np.float32))
            self.assertEqual(len(seen), 60)
            self.assertEqual([len(read["tensors"][s]["labels"]) for s in COUNTS], [42, 6, 12])
            self.assertTrue(all(len({seen[3 * v + i] for i in range(3)}) == 1 for v in range(20)))
            self.assert_note(read, "seed 3: train 42, valid 6, test 12 samples of 14, 2, 4 videos")
        again = self.convert(path, "--split", "0.7,0.1,0.2", "--seed", "3", output="again")
        other = self.convert(path, "--split", "0.7,0.1,0.2", "--seed", "4", output="other")
        self.assertEqual(self.read_ids(again, "test"), self.read_ids(read, "test"))
        self.assertNotEqual(self.read_ids(other, "test"), self.read_ids(read, "test"))
        self.refused(path, words=("--split 0.8,0.1,0.1",))
        for wrong in ("1", "0.5,0.5", "0.5,0.5,0.5", "1,0,0", "a,b,c"):
            self.refused(path, "--split", wrong, status=64)
        self.refused(path, "--seed", "1", status=64, words=("--split",))
        self.refused(self.pickle("two.pkl", {k: v[:6] for k, v in content.items()}), "--split", "0.8,0.1,0.1",
                     words=("2 videos",))
        self.refused(self.pickle("g.pkl", self.content()), "--split", "0.8,0.1,0.1", status=64)

    def test_few_videos_without_ids(self) -> None:
        content = self.whole(3)
        del content["id"]
        read = self.convert(self.pickle("f.pkl", content), "--split", "0.8,0.1,0.1")
        self.assertEqual([len(read["tensors"][s]["labels"]) for s in COUNTS], [1, 1, 1])
        self.assert_note(read, "no ids tell")

    def test_lists_of_samples(self) -> None:
        content = self.content()
        tuples, dictionaries = {}, {}
        for split, fields in content.items():
            for m in NAMES:
                fields[m] = [row[:length] for row, length in zip(fields[m], fields.pop(f"{m}_lengths"))]
            rows = [[fields[k][i] for k in (*NAMES, "emotion_labels", "id")] for i in range(COUNTS[split])]
            tuples["dev" if split == "valid" else split] = [((t, v, a, ["its", "words"]), y, i) for t, v, a, y, i in rows]
            dictionaries[split] = [dict(zip((*NAMES, "label", "id"), row)) for row in rows]
        wanted = self.convert(self.pickle("f.pkl", content), output="wanted")
        for number, what in enumerate((tuples, dictionaries)):
            read = self.convert(self.pickle(f"{number}.pkl", what), output=f"out{number}")
            for split in COUNTS:
                for name, tensor in wanted["tensors"][split].items():
                    np.testing.assert_array_equal(read["tensors"][split][name], tensor, name)
        read = self.convert(self.pickle("list.pkl", [s for part in tuples.values() for s in part]), "--split", "0.6,0.2,0.2",
                            output="list")
        self.assertEqual(sum(len(read["tensors"][s]["labels"]) for s in COUNTS), 24)
        tuples["test"][2] = tuples["test"][2][:2]
        self.refused(self.pickle("f.pkl", tuples), words=("((text, visual, audio), labels, id)",))


class OneFileTests(ContradictionTestCase):
    def test_samples_for_prediction(self) -> None:
        content = self.content()["train"]
        bare = {k: v for k, v in content.items() if k in (*NAMES, "id", "audio_lengths")}
        np.savez(self.path("with.npz"), **content)
        np.savez(self.path("without.npz"), **bare)
        for name in ("with", "without"):
            output = self.path(name + ".safetensors")
            done = self.run_script("convert", self.path(name + ".npz"), "-o", output)
            self.assertEqual(done.returncode, 0, done.stderr)
            tensors, metadata = safetensors_file.load(output, Workspace())
            np.testing.assert_array_equal(tensors["text"], content["text"])
            np.testing.assert_array_equal(tensors["audio_length"], content["audio_lengths"])
            self.assertEqual([bytes(row).rstrip(b"\0").decode() for row in tensors["ids"]], content["id"])
            self.assertEqual("labels" in tensors, name == "with")
            self.assertEqual("label_names" in metadata, name == "with")
            self.assertEqual("has none, so it is for prediction only" in done.stdout, name == "without")
            self.assert_refused(self.run_script("convert", self.path(name + ".npz"), "-o", output), 73, "--force")
            self.assertEqual(self.run_script("convert", self.path(name + ".npz"), "-o", output, "--force").returncode, 0)
        self.assertEqual(sorted(os.listdir(self.directory)),
                         sorted(f"{n}.{e}" for n in ("with", "without") for e in ("npz", "safetensors")))
        self.refused(self.path("without.npz"), words=("labels: tgt", "--split"))
        split = self.pickle("f.pkl", self.content())
        self.assert_refused(self.run_script("convert", split, "-o", self.path("x.safetensors")), 65, "give a directory")
        self.assert_refused(self.run_script("convert", self.path("with.npz"), "-o", self.path("x.safetensors"), "--split",
                                            "0.8,0.1,0.1"), 64)
        os.mkdir(self.path("d.safetensors"))
        self.assert_refused(self.run_script("convert", self.path("with.npz"), "-o", self.path("d.safetensors"), "--force"),
                            73, "a directory")


class M3EDTests(ContradictionTestCase):
    def test_what_contradicts(self) -> None:
        def twice(content) -> None:
            content[9] = [*content[9], content[7][3]]

        def short(content) -> None:
            content[4][content[8][1]] = content[4][content[8][1]][1:]

        def wrong(content) -> None:
            content[2][content[7][0]][0] = 7

        for spoil, words in ((twice, ("row 3 of train and row 7 of test", "dialogue_3")),
                             (short, ("utterances", "dialogue_13")),
                             (wrong, ("0 to 6", "dialogue_0"))):
            content, _ = m3ed(self.random)
            spoil(content)
            self.refused(self.pickle("m3ed.pkl", content), words=words)
        content, _ = m3ed(self.random)
        read = self.convert(self.pickle("m3ed.pkl", content))
        self.assertEqual(self.read_ids(read, "test"), content[9])
        self.refused(self.path("m3ed.pkl"), "--keys", "text=a", status=64)


if __name__ == "__main__":
    unittest.main()
