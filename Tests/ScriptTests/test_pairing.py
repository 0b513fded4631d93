"""scripts/convert pairs labels with samples by id or interval; what contradicts is refused, what is assumed is said."""
import copy
import json
import unittest
from typing import Callable

import numpy as np
from support import COUNTS, EMOTIONS, ContradictionTestCase

try:
    import h5py
except ImportError:
    h5py = None


class PairingTests(ContradictionTestCase):
    def test_labels_of_another_file_by_id(self) -> None:
        content = self.content()
        features, labels = self.pickle("f.pkl", self.without_labels(content)), self.shuffled_labels(content)
        path = self.pickle("l.pkl", labels)
        for i, arguments in enumerate(((features, "--labels", path), (features, path), (path, features))):
            read = self.convert(*arguments, output=f"out{i}")
            for split in COUNTS:
                np.testing.assert_array_equal(read["tensors"][split]["labels"], self.truth(content, split))
                self.assertEqual(self.read_ids(read, split), content[split]["id"])
            self.assert_note(read, "by id, which the sentiment of 24 samples confirms")
        labels["test"]["id"][0] = "stranger"
        self.refused(features, "--labels", self.pickle("l.pkl", labels), words=("none for 1 of 24", "of test"))

    def test_the_sentiment_contradicts(self) -> None:
        content = self.content()
        labels = self.shuffled_labels(content)
        labels["valid"]["regression_labels"][2] += 1
        said = self.refused(self.pickle("f.pkl", self.without_labels(content)), "--labels", self.pickle("l.pkl", labels))
        self.assertIn(labels["valid"]["id"][2], said)
        self.assertIn("row 2 of valid", said)

    def test_all_that_differs_between_the_files_at_once(self) -> None:
        content = self.content()
        labels = self.shuffled_labels(content)
        stranger = labels["test"]["id"][0]
        labels["test"]["id"][0] = "stranger"
        for row in (1, 2):
            labels["valid"]["regression_labels"][row] += 1
        self.refused(self.pickle("f.pkl", self.without_labels(content)), "--labels", self.pickle("l.pkl", labels),
                     words=("2 things are wrong", "none for 1 of 24", stranger, "and so for 1 more samples"))
        short = {s: {k: v[1:] for k, v in f.items() if k != "id"} for s, f in labels.items()}
        self.refused(self.pickle("f.pkl", self.without_labels(content)), "--labels", self.pickle("l.pkl", short),
                     words=("3 things are wrong", "in split train", "in split valid", "in split test"))

    def test_labels_without_ids_are_checked_by_the_sentiment(self) -> None:
        content = self.content()
        features = self.pickle("f.pkl", self.without_labels(content))
        labels = {s: {k: f[k] for k in ("emotion_labels", "regression_labels")} for s, f in content.items()}
        read = self.convert(features, "--labels", self.pickle("l.pkl", labels))
        np.testing.assert_array_equal(read["tensors"]["train"]["labels"], self.truth(content, "train"))
        self.assert_note(read, "has no ids, so row k")
        self.assert_note(read, "which the sentiment of 24 samples confirms")
        shuffled = self.shuffled_labels(content)
        for fields in shuffled.values():
            del fields["id"]
        self.refused(features, "--labels", self.pickle("l.pkl", shuffled), words=("these labels are of other samples",))
        short = {s: {k: v[1:] for k, v in f.items()} for s, f in labels.items()}
        self.refused(features, "--labels", self.pickle("l.pkl", short), words=("12 samples in split train", "found 11"))

    def table(self, content: dict, name: str = "l.csv", separator: str = ",", more: tuple = ()) -> str:
        lines = [separator.join(["id", *EMOTIONS])]
        for split in ("test", "train", "valid"):
            lines += [separator.join([i, *map(str, row)])
                      for i, row in zip(content[split]["id"], content[split]["emotion_labels"])]
        return self.bytes(name, "\n".join([*lines, *more]).encode())

    def test_tables(self) -> None:
        content = self.content()
        features = self.pickle("f.pkl", self.without_labels(content))
        for name, separator in (("l.csv", ","), ("l.tsv", "\t"), ("semicolons.csv", ";")):
            read = self.convert(features, "--labels", self.table(content, name, separator), output="out" + name)
            for split in COUNTS:
                np.testing.assert_array_equal(read["tensors"][split]["labels"], self.truth(content, split))
        first = content["test"]["id"][0]
        same = ",".join([first, *map(str, content["test"]["emotion_labels"][0])])
        self.assert_note(self.convert(features, "--labels", self.table(content, more=(same,))), "1 rows of")
        other = ",".join([first, *("0" if v else "1" for v in content["test"]["emotion_labels"][0])])
        self.refused(features, "--labels", self.table(content, more=(other,)), words=(first, "line 2 and line 26"))
        self.refused(features, "--labels", self.table(content, more=(first + ",nan,0,0,0,0,0",)), words=("line 26",))
        self.refused(features, "--labels", self.table(content, more=(first + ",,0,0,0,0,0",)), words=("line 26", "happy"))
        self.refused(features, "--labels", self.table(content, more=(first + ",0",)), words=("line 26",))
        self.refused(features, "--labels", self.table(content), "--label-names", "joy,sad", words=("joy",))

    def test_a_column_that_nobody_expects_is_a_label(self) -> None:
        content = self.content()
        rows = [f"{i},0,1,{j % 2},{s}" for split in COUNTS
                for i, j, s in zip(content[split]["id"], range(99), content[split]["regression_labels"])]
        table = self.bytes("l.csv", "\n".join(["id,happy,sad,neutral,sentiment", *rows]).encode())
        features = self.pickle("f.pkl", self.without_labels(content))
        self.assertEqual(self.convert(features, "--labels", table)["label_names"], ["happy", "sad", "neutral"])
        read = self.convert(features, "--labels", table, "--label-names", "neutral,happy", output="two")
        self.assertEqual(read["tensors"]["train"]["labels"].tolist(), [[j % 2, 0] for j in range(12)])
        rows[3] = rows[3].rsplit(",", 1)[0] + ",9"
        spoilt = self.bytes("s.csv", "\n".join(["id,happy,sad,neutral,sentiment", *rows]).encode())
        self.refused(features, "--labels", spoilt, words=("line 5", content["train"]["id"][3]))


class IdTests(ContradictionTestCase):
    def test_repeated_ids(self) -> None:
        content = self.content()
        content["train"]["id"][5] = content["train"]["id"][2]
        path = self.pickle("f.pkl", content)
        self.refused(path, words=("row 2 of train and row 5 of train", "--ids number"))
        read = self.convert(path, "--ids", "none")
        self.assertNotIn("ids", read["tensors"]["train"])

    def test_ids_that_are_videos(self) -> None:
        content = self.content()
        for split in content:
            content[split]["id"] = ["a"] * 2 + [f"{split}{i}" for i in range(COUNTS[split] - 2)]
        path = self.pickle("f.pkl", content)
        self.refused(path, words=("every sample in one split", "every id once"))
        read = self.convert(path, "--ids", "number")
        self.assertEqual([self.read_ids(read, s)[:3] for s in COUNTS],
                         [["a[0]", "a[1]", "train0"], ["a[2]", "a[3]", "valid0"], ["a[4]", "a[5]", "test0"]])
        self.assert_note(read, "1 videos have clips in more than one split, such as 'a'")

    def test_a_sample_in_two_splits(self) -> None:
        content = self.content()
        content["test"]["id"][3] = content["train"]["id"][2].replace("$_$2", "[2]")
        self.refused(self.pickle("f.pkl", content), words=("row 2 of train and row 3 of test",))

    def test_ids_of_every_kind(self) -> None:
        content = self.content()
        wanted = {"train": [f"é{i}" for i in range(12)], "valid": [f"v{i}[0.5,{i}.25]" for i in range(5)],
                  "test": [str(i) for i in range(7)]}
        content["train"]["id"] = np.array([w.encode("utf-8") for w in wanted["train"]], object)
        content["valid"]["id"] = np.array([[f"v{i}", "0.5", f"{i}.25"] for i in range(5)])
        content["test"]["id"] = np.arange(7)
        read = self.convert(self.pickle("f.pkl", content))
        for split in COUNTS:
            self.assertEqual(read["tensors"][split]["ids"].dtype, np.uint8)
            self.assertEqual(self.read_ids(read, split), wanted[split])
        for wrong in ("", "a\0b", None, {}):
            content["test"]["id"] = ["x", wrong, *"abcde"]
            self.refused(self.pickle("f.pkl", content), words=("row 1", "--ids none"))


class LabelValueTests(ContradictionTestCase):
    def with_labels(self, make, sentiment: bool = True) -> str:
        content = self.content()
        self.values = {split: make(split, len(f["id"])) for split, f in content.items()}
        for split, fields in content.items():
            fields["emotion_labels"] = self.values[split]
            if not sentiment:
                del fields["regression_labels"]
        return self.pickle("f.pkl", content)

    def test_no_column_is_dropped_by_its_number(self) -> None:
        path = self.with_labels(lambda s, n: self.random.integers(0, 4, (n, 6)) * (self.random.random((n, 6)) < 0.5) / 3,
                                sentiment=False)
        self.refused(path, "--label-names", "happy,sad,anger,surprise,disgust", words=("6 columns", "none have negative"))
        read = self.convert(path, "--label-names", "sentiment,happy,sad,anger,surprise,disgust")
        np.testing.assert_array_equal(read["tensors"]["train"]["labels"], self.values["train"][:, 1:] > 0)

    def test_a_sentiment_in_any_column(self) -> None:
        def make(split: str, n: int) -> np.ndarray:
            array = self.random.integers(0, 4, (n, 7)) * (self.random.random((n, 7)) < 0.5) / 3
            array[:, 4] = self.random.uniform(-3, -1, n) if split != "valid" else 2
            return array
        path = self.with_labels(make)
        content_labels = {s: np.delete(v, 4, 1) > 0 for s, v in self.values.items()}
        said = self.refused(path)                                            # the file has another sentiment besides
        self.assertIn("column 5", said)
        bare = self.content()
        for split in bare:
            bare[split]["emotion_labels"] = self.values[split]
            del bare[split]["regression_labels"]
        read = self.convert(self.pickle("bare.pkl", bare))
        for split in COUNTS:
            np.testing.assert_array_equal(read["tensors"][split]["labels"], content_labels[split])
        self.assert_note(read, "column 5 of 7, the only one with negative values")
        for split in bare:                                                   # none is negative, but one is known
            bare[split]["emotion_labels"][:, 4] = np.arange(len(bare[split]["id"])) / 10 + 0.1
            bare[split]["regression_labels"] = bare[split]["emotion_labels"][:, 4]
        self.assert_note(self.convert(self.pickle("known.pkl", bare), output="known"), "column 5 of 7 is the sentiment")

    def test_negative_emotions(self) -> None:
        path = self.with_labels(lambda s, n: np.where(np.arange(n * 6).reshape(n, 6) % 5 == 0, -1, 1))
        self.refused(path, words=("-1 as",))
        read = self.convert(path, "--threshold", "0")
        np.testing.assert_array_equal(read["tensors"]["test"]["labels"], self.values["test"] > 0)

    def test_labels_that_are_no_numbers(self) -> None:
        for bad in (np.nan, np.inf):
            def make(split: str, n: int) -> np.ndarray:
                array = np.zeros((n, 6))
                array[1, 3] = bad if split == "valid" else 1
                return array
            self.refused(self.with_labels(make), words=("column 4 of row 1 of valid",))

    def test_all_that_is_wrong_with_labels_at_once(self) -> None:
        def make(split: str, n: int) -> np.ndarray:
            array = np.zeros((n, 6))
            array[0, :2] = -1
            array[1, 3] = np.nan
            return array
        said = self.refused(self.with_labels(make), words=("2 things are wrong", "nan in column 4", "-1 in column 1", "6 such"))
        self.assertEqual(len(said.splitlines()), 3)

    def test_one_label(self) -> None:
        path = self.with_labels(lambda s, n: (np.arange(n) % 3 == 0).astype(float)[:, None])
        self.refused(path, words=("two or more columns", "--keys labels=NAME"))
        self.refused(path, "--keys", "labels=emotion_labels", words=("two or more labels", "--label-names"))
        read = self.convert(path, "--keys", "labels=emotion_labels", "--label-names", "joy")
        np.testing.assert_array_equal(read["tensors"]["test"]["labels"], self.values["test"])

    def test_soft_labels(self) -> None:
        def shares(split: str, n: int) -> np.ndarray:
            raw = self.random.random((n, 4))
            return raw / raw.sum(1, keepdims=True)
        makes = {"1 in sum": shares, "100% of them above 0": lambda s, n: 0.1 + 0.8 * self.random.random((n, 4)),
                 "1 to 5": lambda s, n: np.concatenate([[[1, 5]], self.random.integers(1, 6, (n - 1, 2))])}
        for words, make in makes.items():
            path = self.with_labels(make)
            self.refused(path, words=(words, "--threshold"))
            read = self.convert(path, "--threshold", "0.4", output=words)
            for split in COUNTS:
                np.testing.assert_array_equal(read["tensors"][split]["labels"], self.values[split] > 0.4)
            self.assert_note(read, "above 0.4")

    def test_soft_labels_in_a_part_of_the_file(self) -> None:
        """The rest, of 0 and 1, does not hide them."""
        def make(soft_split: str, soft_labels: list) -> Callable[[str, int], np.ndarray]:
            def labels(split: str, n: int) -> np.ndarray:
                array = (np.arange(n * 6).reshape(n, 6) % 5 == 0).astype(float)
                if soft_split in (split, "every"):
                    array[:, soft_labels] = 0.1 + 0.8 * self.random.random((n, len(soft_labels)))
                return array
            return labels
        for split, labels, words in (("valid", [0, 1, 2, 3, 4, 5], "above 0 in split valid;"),
                                     ("every", [1], "above 0 as sad;"), ("train", [1], "above 0 as sad in split train;"),
                                     ("every", [2, 4], "above 0 as anger; ")):
            path = self.with_labels(make(split, labels))
            self.refused(path, words=(words, "100% of them", "--threshold"))
            for threshold in (0, 0.4):
                read = self.convert(path, "--threshold", str(threshold), output=f"{words}{threshold}")
                np.testing.assert_array_equal(read["tensors"]["valid"]["labels"], self.values["valid"] > threshold)

    def test_shares_in_one_split(self) -> None:
        def make(split: str, n: int) -> np.ndarray:
            array = (np.arange(n * 6).reshape(n, 6) % 5 == 0).astype(float)
            if split == "test":                                              # few are above 0
                array[:] = np.eye(6)[np.arange(n) % 6] * 0.6 + np.eye(6)[(np.arange(n) + 1) % 6] * 0.4
            return array
        self.refused(self.with_labels(make), words=("1 in sum for every sample in split test;",))

    def test_frequent_labels_of_0_and_1_beside_intensities(self) -> None:
        def make(split: str, n: int) -> np.ndarray:
            array = np.ones((n, 6))
            array[0] = 0
            array[:, 3] = (np.arange(n) % 3) / 3
            return array
        np.testing.assert_array_equal(self.convert(self.with_labels(make))["tensors"]["train"]["labels"],
                                      self.values["train"] > 0)

    def test_class_numbers_and_names(self) -> None:
        for shape in ((-1,), (-1, 1)):
            path = self.with_labels(lambda s, n: (np.arange(n) % 4).reshape(shape))
            self.refused(path, words=("--one-hot",))
            read = self.convert(path, "--one-hot", output=f"out{len(shape)}")
            self.assertEqual(read["label_names"], ["label0", "label1", "label2", "label3"])
            np.testing.assert_array_equal(read["tensors"]["train"]["labels"], np.eye(4)[np.arange(12) % 4])
        path = self.with_labels(lambda s, n: [["joy", "anger", "none"][i % 3] for i in range(n)])
        self.refused(path, words=("such as 'joy'", "--one-hot"))
        read = self.convert(path, "--one-hot", output="words")
        self.assertEqual(read["label_names"], ["anger", "joy", "none"])
        self.assertEqual(read["tensors"]["test"]["labels"][:3].argmax(1).tolist(), [1, 0, 2])
        for wrong in (1.5, -1, np.nan):
            self.refused(self.with_labels(lambda s, n: [0, 1, wrong] + [2] * (n - 3)), "--one-hot", words=("row 2 of train",))

    def test_one_hot_pairs(self) -> None:
        path = self.with_labels(lambda s, n: np.eye(2)[self.random.integers(0, 2, (n, 4))])
        read = self.convert(path, "--label-names", "neutral,happy,sad,angry")
        for split in COUNTS:
            np.testing.assert_array_equal(read["tensors"][split]["labels"], self.values[split][:, :, 1])
        self.refused(self.with_labels(lambda s, n: np.ones((n, 4, 2))), words=("pairs",))

    def test_names_as_the_trainer_gives_them(self) -> None:
        read = self.convert(self.with_labels(lambda s, n: np.eye(3)[np.arange(n) % 3]))
        self.assertEqual(read["label_names"], ["label0", "label1", "label2"])
        self.assert_note(read, "--label-names")


class PaddingTests(ContradictionTestCase):
    def front(self, content: dict, *names: str) -> dict:
        content = copy.deepcopy(content)
        for fields in content.values():
            for name in names:
                for row, length in zip(fields[name], fields[f"{name}_lengths"]):
                    row[:] = np.roll(row, len(row) - length, 0)
        return content

    def test_padding_at_the_front_is_moved(self) -> None:
        content = self.content()
        wanted = self.convert(self.pickle("end.pkl", content), output="end")
        read = self.convert(self.pickle("front.pkl", self.front(content, "vision", "audio")))
        for split in COUNTS:
            for name, tensor in wanted["tensors"][split].items():
                np.testing.assert_array_equal(read["tensors"][split][name], tensor, name)
        for m in ("visual", "audio"):
            self.assert_note(read, f"{m}: padding was before the steps: moved behind them")
        self.assertFalse(any(n.startswith("text: padding") or "padding was" in n for n in wanted["notes"]), wanted["notes"])
        cut = self.convert(self.path("front.pkl"), "--max-steps", "4,4,4", output="cut")
        np.testing.assert_array_equal(cut["tensors"]["train"]["audio"], wanted["tensors"]["train"]["audio"][:, :4])

    def test_a_mask_with_padding_first(self) -> None:
        content = self.content()
        for fields in content.values():
            lengths = fields.pop("text_lengths")
            mask = (np.arange(10) >= 10 - lengths[:, None]).astype(float)
            fields["text_bert"] = np.stack([mask * 7, mask, mask * 0], 1)
            for row, length in zip(fields["text"], lengths):
                row[:] = np.roll(row, 10 - length, 0)
                row[:10 - length] = 9                                        # what BERT makes of padding is not 0
        read = self.convert(self.pickle("f.pkl", content))
        for i, length in enumerate(read["tensors"]["test"]["text_length"]):
            np.testing.assert_array_equal(read["tensors"]["test"]["text"][i, :length],
                                          content["test"]["text"][i, 10 - length:])
            self.assertFalse(read["tensors"]["test"]["text"][i, length:].any())
        content["valid"]["text_bert"][2, 1] = [1, 0] * 5
        self.refused(self.pickle("f.pkl", content), words=("text_bert",))

    def test_padding_on_both_sides(self) -> None:
        content = self.content()
        content["test"] = self.front(content, "audio")["test"]
        self.refused(self.pickle("f.pkl", content), words=("of audio on one side", "split test, row", "split train, row"))

    def test_padding_without_zeros(self) -> None:
        content = self.content()
        content["train"]["audio"][content["train"]["audio"] == 0] = 5
        self.assert_note(self.convert(self.pickle("f.pkl", content)), "have values in steps that their lengths call padding")

    def test_inferred_from_the_front_before_the_cut(self) -> None:
        content = self.content()
        front = self.front(content, "text", "vision", "audio")
        for fields in front.values():
            for m in ("text", "vision", "audio"):
                del fields[f"{m}_lengths"]
        path = self.pickle("f.pkl", front)
        self.assert_note(self.convert(path, output="all"), "every step counts")
        self.refused(path, "--padding", "front", status=64, words=("--infer-lengths",))
        read = self.convert(path, "--infer-lengths", "--padding", "front", "--max-steps", "4,4,4")
        np.testing.assert_array_equal(read["tensors"]["train"]["visual"], content["train"]["vision"][:, :4])
        np.testing.assert_array_equal(read["tensors"]["train"]["visual_length"],
                                      np.minimum(content["train"]["vision_lengths"], 4))


class AllAtOnceTests(ContradictionTestCase):
    def test_everything_wrong_is_told_at_once(self) -> None:
        content = self.content()
        content["train"]["id"][1] = content["train"]["id"][0]
        content["test"]["vision"] = content["test"]["vision"][:, :, :4]
        content["valid"]["emotion_labels"][0, 0] = np.nan
        content["valid"]["audio_lengths"] = content["valid"]["audio_lengths"][:2]
        said = self.refused(self.pickle("f.pkl", content),
                            words=("4 things are wrong", "row 0 of train and row 1", "4 in split test",
                                                                 "row 0 of valid", "a length for each of 5"))
        self.assertEqual(len(said.splitlines()), 5)


@unittest.skipIf(h5py is None, "no h5py")
class SequenceLabelTests(ContradictionTestCase):
    """Labels of a csd for another file's clips."""

    def labels(self, content: dict, order, names: str = "named") -> str:
        """A csd whose rows are the clips of a video in `order`, ten seconds each."""
        path = self.path("Labels.csd")
        with h5py.File(path, "w") as file:
            for fields in content.values():
                for video in sorted({i.split("$_$")[0] for i in fields["id"]}):
                    clips = [n for n, i in enumerate(fields["id"]) if i.split("$_$")[0] == video]
                    rows = [clips[i] for i in order(len(clips))]
                    group = file.create_group(f"All Labels/data/{video}")
                    group["features"] = np.stack(
                        [np.append(fields["regression_labels"][r], fields["emotion_labels"][r]) for r in rows])
                    group["intervals"] = np.array([[10 * clips.index(r), 10 * clips.index(r) + 10] for r in rows], float)
            names = json.dumps(["sentiment", *EMOTIONS])
            file.create_group("All Labels/metadata")["dimension names"] = np.array([names.encode()])
        return path

    def test_clips_are_numbered_as_the_sentiment_says(self) -> None:
        content = self.content()
        features = self.without_labels(content)
        path = self.pickle("f.pkl", features)
        for word, order in (("by rows", range), ("in the order of time", lambda n: np.roll(range(n), 1))):
            read = self.convert(path, "--labels", self.labels(content, order), output=word)
            for split in COUNTS:
                np.testing.assert_array_equal(read["tensors"][split]["labels"], self.truth(content, split))
            self.assert_note(read, f"counted {word}, which the sentiment of 24 samples confirms")
        features = copy.deepcopy(features)
        features["test"]["regression_labels"][3] = -features["test"]["regression_labels"][3] + 1
        self.refused(self.pickle("g.pkl", features), "--labels", self.labels(content, range),
                     words=("row 3 of test", "row 3 of 'test0'"))
        for fields in features.values():
            del fields["regression_labels"]
        bare = self.pickle("bare.pkl", features)
        self.assert_note(self.convert(bare, "--labels", self.labels(content, range), output="bare"), "nothing allows a check")
        self.refused(bare, "--labels", self.labels(content, lambda n: np.roll(range(n), 1)),
                     words=("by rows", "in the order of time"))

    def test_numbers_from_one(self) -> None:
        content = self.content()
        features = copy.deepcopy(self.without_labels(content))
        for fields in features.values():
            fields["id"] = [f"{i[:-1]}{int(i[-1]) + 1}" for i in fields["id"]]
        path = self.pickle("f.pkl", features)
        read = self.convert(path, "--labels", self.labels(content, range))
        np.testing.assert_array_equal(read["tensors"]["train"]["labels"], self.truth(content, "train"))
        self.assert_note(read, "from 1, which the sentiment")

    def test_clips_by_their_times(self) -> None:
        content = self.content()
        features = copy.deepcopy(self.without_labels(content))
        for fields in features.values():
            del fields["regression_labels"]
            fields["id"] = np.array(
                [[i.split("$_$")[0], str(10.0 * int(i[-1])), str(10.0 * int(i[-1]) + 10.01)] for i in fields["id"]])
        read = self.convert(self.pickle("f.pkl", features), "--labels", self.labels(content, lambda n: np.roll(range(n), 1)))
        for split in COUNTS:
            np.testing.assert_array_equal(read["tensors"][split]["labels"], self.truth(content, split))
        features["train"]["id"][2, 1] = "3.5"
        self.refused(self.pickle("f.pkl", features), "--labels", self.path("Labels.csd"),
                     words=("none for 1 of 24", "row 2 of train"))


if __name__ == "__main__":
    unittest.main()
