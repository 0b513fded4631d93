"""scripts/convert on each kind of data set."""
import json
import os
import pty
import resource
import subprocess
import sys
import unittest

import numpy as np
from support import COUNTS, EMOTIONS, ROOT, SCRIPTS, FileTestCase, aligned, m3ed, mmsa, tokens, torch_stream, torch_zip, unaligned

TRAIN = os.path.join(ROOT, ".build/release/train")


class AuthorsFileTests(FileTestCase):
    def test_aligned(self) -> None:
        content, labels = aligned(self.random)
        files = [torch_zip(self.path("train_valid_test.pt"), content), torch_stream(self.path("old.pt"), content),
                 self.pickle("plain.pkl", content)]
        for i, path in enumerate(files):
            read = self.convert(path, output=f"out{i}")
            self.assertEqual(read["label_names"], EMOTIONS)
            for split in COUNTS:
                tensors = read["tensors"][split]
                self.assertEqual(sorted(tensors), ["audio", "labels", "text", "visual"])
                np.testing.assert_array_equal(tensors["labels"], labels[split])
                np.testing.assert_array_equal(tensors["text"], content[split]["src-text"].astype(np.float32))
                np.testing.assert_array_equal(tensors["visual"], content[split]["src-visual"])
                wanted = content[split]["src-audio"].copy()
                wanted[1, 59, 3] = 0
                np.testing.assert_array_equal(tensors["audio"], wanted)
                self.assertEqual(read["splits"][split]["modalities"]["audio"]["repairs"], {"nan": 1, "silence": 2})
                self.assertEqual(read["metadata"][split]["label_names"], ",".join(EMOTIONS))

    def test_unaligned_with_labels_of_the_other_file(self) -> None:
        content, labels = aligned(self.random)
        features = unaligned(self.random)
        first, second = self.pickle("mosei_senti_data_noalign.pkl", features, 2), torch_zip(self.path("a.pt"), content)
        for i, arguments in enumerate(([first, second], [second, first], [first, "--labels", second])):
            read = self.convert(*arguments, output=f"out{i}")
            for split in COUNTS:
                np.testing.assert_array_equal(read["tensors"][split]["labels"], labels[split])
                self.assertEqual(read["tensors"][split]["audio"].shape, (COUNTS[split], 500, 74))
                np.testing.assert_array_equal(read["tensors"][split]["visual"], features[split]["vision"].astype(np.float32))
        self.assert_refused(self.run_script("convert", first, "-o", self.path("x")), 65, "--labels")
        content["valid"]["tgt"].pop()
        self.assert_refused(self.run_script("convert", first, torch_zip(self.path("b.pt"), content), "-o", self.path("x")),
                            65, "split valid")

    def test_m3ed(self) -> None:
        content, labels = m3ed(self.random)
        read = self.convert(self.pickle("m3ed.pkl", content))
        self.assertEqual(read["label_names"], ["happy", "neutral", "sad", "disgust", "anger", "fear", "surprise"])
        names = dict(zip(COUNTS, content[7:10]))
        for split in COUNTS:
            tensors = read["tensors"][split]
            np.testing.assert_array_equal(tensors["labels"], labels[split])
            for i, d in enumerate(names[split]):
                t = min(60, len(content[2][d]))
                self.assertEqual(tensors["visual_length"][i], t)
                np.testing.assert_array_equal(tensors["visual"][i, :t], content[4][d][:60])
                self.assertFalse(tensors["visual"][i, t:].any())
        self.assertEqual(read["tensors"]["train"]["audio"].shape[1:], (60, 342))

    def test_m3ed_as_the_released_reader_saves_it(self) -> None:
        content, labels = m3ed(self.random)
        words = ["Happy", "Neutral", "Sad", "Disgust", "Anger", "Fear", "Surprise"]
        saved = {"dict": {"src": {}, "tgt": {"<s>": 2, "</s>": 3, "<unk>": 1, "<blank>": 0,
                                             **{w: i + 4 for i, w in enumerate(words)}}}, "settings": None}
        for split, dialogues in zip(COUNTS, content[7:10]):
            def padded(part):
                return [np.concatenate([x := part[d], np.zeros((100 - len(x), x.shape[1]), np.float32)])[:60]
                        for d in dialogues]
            saved[split] = {"src-text": padded(content[3]), "src-visual": padded(content[4]), "src-audio": padded(content[5]),
                            "len_list": [len(content[2][d]) for d in dialogues], "tgt": tokens(labels[split])}
        read = self.convert(torch_zip(self.path("m3ed_data_60.pt"), saved))
        other = self.convert(self.pickle("m3ed.pkl", content), output="other")
        for split in COUNTS:
            other["tensors"][split].pop("ids")                               # the saved file has none
            for name, tensor in other["tensors"][split].items():
                np.testing.assert_array_equal(read["tensors"][split][name], tensor, name)
        self.assertEqual(read["label_names"], other["label_names"])
        without = self.convert(self.path("m3ed_data_60.pt"), "--no-lengths", output="without")
        self.assertNotIn("text_length", without["tensors"]["train"])


class MMSATests(FileTestCase):
    def test_refused_without_emotions(self) -> None:
        path = self.pickle("unaligned_50.pkl", mmsa(self.random))
        self.assert_refused(self.run_script("convert", path, "-o", self.path("out")), 65, "--labels", "--sentiment-classes")
        self.assertEqual(os.listdir(self.directory), ["unaligned_50.pkl"])

    def test_emotions_of_its_own(self) -> None:
        content = mmsa(self.random)
        for split in content.values():
            n = len(split["id"])
            split["emotion_labels"] = np.where(self.random.random((n, 6)) < 0.5, 0, self.random.random((n, 6)) * 3)
        path = self.pickle("aligned_50.pkl", content)
        for threshold in ("0", "1"):
            read = self.convert(path, "--threshold", threshold, output="t" + threshold)
            for split in COUNTS:
                t = read["tensors"][split]
                np.testing.assert_array_equal(t["labels"], content[split]["emotion_labels"] > float(threshold))
                np.testing.assert_array_equal(t["text_length"], content[split]["text_bert"][:, 1].sum(1))
                np.testing.assert_array_equal(t["audio_length"], np.maximum(content[split]["audio_lengths"], 1))
                np.testing.assert_array_equal(t["visual_length"], content[split]["vision_lengths"])

    def test_labels_of_a_table(self) -> None:
        path = self.pickle("unaligned_50.pkl", mmsa(self.random))
        rows = [f"{split}{i},{i % 3}," + (f"{i / 10},0,0,0.5,0,1" if i < 10 else "0,0,0,0,0,1")
                for split in COUNTS for i in range(20)]
        table = self.bytes("labels.csv", ("video_id,clip_id," + ",".join(EMOTIONS) + "\n" + "\n".join(rows)).encode())
        read = self.convert(path, "--labels", table)
        np.testing.assert_array_equal(read["tensors"]["test"]["labels"][:2], [[0, 0, 0, 1, 0, 1], [1, 0, 0, 1, 0, 1]])
        soft = [f"{split}{i},{i % 3},{split}," + ("0.2,0.3,0.4,0.6,0.7,0.8" if split == "valid" else "1,0,0,0,0,1")
                for split in COUNTS for i in range(20)]
        table = self.bytes("soft.csv", ("video_id,clip_id,mode," + ",".join(EMOTIONS) + "\n" + "\n".join(soft)).encode())
        self.assert_refused(self.run_script("convert", path, "--labels", table, "-o", self.path("x")), 65, "in split valid;")
        short = self.bytes("short.csv", ("id," + ",".join(EMOTIONS) + "\ntrain0[0],1,0,0,0,0,0\n").encode())
        self.assert_refused(self.run_script("convert", path, "--labels", short, "-o", self.path("x")), 65, "none for 23 of 24")
        # All wrong cells at once; and all lines of another length.
        broken = ("id," + ",".join(EMOTIONS) + "\n" + "train0[0],1,x,0,,0,0\ntrain1[1],1,0,0,0,y,0\n").encode()
        done = self.run_script("convert", path, "--labels", self.bytes("broken.csv", broken), "-o", self.path("x"))
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (65, 4), done.stderr)
        for words in ("'x' in line 2", "'' in line 2", "'y' in line 3"):
            self.assertIn(words, done.stderr)
        ragged = ("id," + ",".join(EMOTIONS) + "\n" + "train0[0],1\ntrain1[1],1,0,0,0,0,0\na,1,2\n").encode()
        self.assert_refused(self.run_script("convert", path, "--labels", self.bytes("r.csv", ragged), "-o", self.path("x")), 65,
                            "lines 2, 4")

    def test_sentiment(self) -> None:
        content = mmsa(self.random)
        content["train"]["regression_labels"][:5] = [-3, -0.4, 0, 2.6, 3]
        read = self.convert(self.pickle("a.pkl", content), "--sentiment-classes", "7")
        self.assertEqual(read["tensors"]["train"]["labels"][:5].argmax(1).tolist(), [0, 3, 3, 6, 6])
        self.assertTrue((read["tensors"]["train"]["labels"].sum(1) == 1).all())


class NpzTests(FileTestCase):
    def arrays(self, n: int) -> dict:
        return {"text": self.random.standard_normal((n, 6, 4)), "visual": np.asfortranarray(
            self.random.standard_normal((n, 6, 3))), "audio": self.random.standard_normal((n, 6, 2)).astype(np.float16),
            "labels": (self.random.random((n, 6)) < 0.4).astype(np.int64)}

    def test_one_file_and_a_file_a_split(self) -> None:
        data = {split: self.arrays(n) for split, n in COUNTS.items()}
        os.mkdir(self.path("splits"))
        for split in COUNTS:
            np.savez(self.path(f"splits/{split}.npz"), **data[split])
        np.savez(self.path("one.npz"), **{f"{s}_{k}": v for s in COUNTS for k, v in data[s].items()})
        np.savez_compressed(self.path("packed.npz"), label_names=np.array(list("abcdef")),
                            **{f"{s}/{k}": v for s in COUNTS for k, v in data[s].items()})
        for name in ("splits", "one.npz", "packed.npz"):
            read = self.convert(self.path(name), output=name + ".out")
            self.assertEqual(read["label_names"], list("abcdef") if name == "packed.npz" else EMOTIONS)
            for split in COUNTS:
                for key, value in data[split].items():
                    np.testing.assert_array_equal(read["tensors"][split][key], value.astype(np.float32))

    def test_objects_ragged_and_padding(self) -> None:
        everything = {}
        for split, n in COUNTS.items():
            lengths = self.random.integers(1, 7, n)
            lengths[0] = 6
            text = np.empty(n, object)
            text[:] = [self.random.standard_normal((k, 4)) + 9 for k in lengths]
            dense = np.zeros((n, 6, 3), np.float32)
            front = np.zeros((n, 6, 2), np.float32)
            for i, k in enumerate(lengths):
                dense[i, :k] = front[i, 6 - k:, [0]] = 1 + i
            everything.update({f"{split}_text": text, f"{split}_visual": dense, f"{split}_audio": front,
                               f"{split}_labels": np.eye(6)[np.arange(n) % 6], f"{split}_true": lengths})
        np.savez(self.path("a.npz"), **everything)
        plain = self.convert(self.path("a.npz"), output="plain")
        for split in COUNTS:
            lengths, t = everything[f"{split}_true"], plain["tensors"][split]
            np.testing.assert_array_equal(t["text_length"], lengths)
            self.assertNotIn("visual_length", t)
            for i, k in enumerate(lengths):
                np.testing.assert_array_equal(t["text"][i, :k], everything[f"{split}_text"][i].astype(np.float32))
        inferred = self.convert(self.path("a.npz"), "--infer-lengths", output="inferred")
        np.testing.assert_array_equal(inferred["tensors"]["train"]["visual_length"], everything["train_true"])
        self.assertIn("zeros_first", inferred["splits"]["train"]["modalities"]["audio"]["repairs"])
        front = self.convert(self.path("a.npz"), "--infer-lengths", "--padding", "front", output="front")
        for split in COUNTS:
            t = front["tensors"][split]
            np.testing.assert_array_equal(t["audio_length"], everything[f"{split}_true"])
            self.assertTrue((t["audio"][:, 0, 0] != 0).all())
        cut = self.convert(self.path("a.npz"), "--max-steps", "3,6,6", output="cut")
        self.assertEqual(cut["tensors"]["test"]["text"].shape[1], 3)
        self.assertEqual(cut["tensors"]["test"]["text_length"].max(), 3)

    def test_splits_of_other_lengths(self) -> None:
        data = {f"{s}_{k}": v for s, n in COUNTS.items() for k, v in self.arrays(n).items()}
        data["valid_text"] = data["valid_text"][:, :4]
        np.savez(self.path("a.npz"), **data)
        read = self.convert(self.path("a.npz"))
        self.assertEqual(read["tensors"]["valid"]["text"].shape, (5, 6, 4))
        self.assertEqual(set(read["tensors"]["valid"]["text_length"]), {4})
        self.assertEqual(set(read["tensors"]["train"]["text_length"]), {6})
        data["test_audio"] = data["test_audio"][:, :, :1]
        np.savez(self.path("b.npz"), **data)
        self.assert_refused(self.run_script("convert", self.path("b.npz"), "-o", self.path("x")), 65, "2 features of audio")

    def test_values_that_float32_cannot_hold(self) -> None:
        data = {f"{s}_{k}": v for s, n in COUNTS.items() for k, v in self.arrays(n).items()}
        data["train_text"][0, 0, :3] = [1e300, -np.inf, np.inf]
        np.savez(self.path("a.npz"), **data)
        read = self.convert(self.path("a.npz"))
        self.assertEqual(read["splits"]["train"]["modalities"]["text"]["repairs"],
                         {"positive_infinity": 2, "negative_infinity": 1})
        self.assertFalse(read["tensors"]["train"]["text"][0, 0, :3].any())


class OutputTests(FileTestCase):
    def test_nothing_is_overwritten_unasked(self) -> None:
        content, _ = aligned(self.random)
        path = torch_zip(self.path("a.pt"), content)
        self.convert(path)
        self.assert_refused(self.run_script("convert", path, "-o", self.path("out")), 73, "--force")
        self.assertEqual(self.run_script("convert", path, "-o", self.path("out"), "--force").returncode, 0)
        self.assertEqual(sorted(os.listdir(self.path("out"))), [s + ".safetensors" for s in ("test", "train", "valid")])
        self.assert_refused(self.run_script("convert", path, "-o", path), 73)
        self.assertEqual(sorted(os.listdir(self.directory)), ["a.pt", "out"])

    def test_a_full_disk_leaves_nothing(self) -> None:
        content, _ = aligned(self.random)
        path = torch_zip(self.path("a.pt"), content)
        done = subprocess.run(
            [sys.executable, os.path.join(SCRIPTS, "convert"), path, "-o", self.path("out")], capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
        self.assert_refused(done, 74, "can't write")
        self.assertEqual(os.listdir(self.directory), ["a.pt"])

    def test_progress_on_a_terminal(self) -> None:
        content, _ = aligned(self.random)
        path = torch_zip(self.path("a.pt"), content)
        terminal, end = pty.openpty()
        done = subprocess.run([sys.executable, os.path.join(SCRIPTS, "convert"), path, "-o", self.path("out")],
                              stdout=subprocess.PIPE, stderr=end)
        os.close(end)
        shown = os.read(terminal, 1 << 16).decode()
        os.close(terminal)
        self.assertEqual(done.returncode, 0)
        self.assertIn("100 % test audio", shown)

    def test_wrong_usage_and_input(self) -> None:
        for arguments in ([], ["x"], ["x", "-o", "y", "--format", "z"], ["x", "-o", "y", "--max-steps", "0,1"]):
            self.assert_refused(self.run_script("convert", *arguments), 64, "--help")
        empty, text = self.bytes("empty", b""), self.bytes("text", b"hello, world\n" * 9)
        for path in (self.path("none"), empty, text, self.pickle("list", [1, 2]), self.pickle("d", {"train": {}}),
                     self.bytes("zip", b"PK\x03\x04" + b"\0" * 99), self.bytes("gz", b"\x1f\x8b" + b"\0" * 99),
                     self.bytes("h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 99)):
            done = self.run_script("convert", path, "-o", self.path("out"))
            self.assertIn(done.returncode, (64, 65, 69), done.stderr)
            self.assertRegex(done.stderr, r"\Aconvert: [^\n]*\n(  [^\n]*\n)*\Z")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_wrong_contents(self) -> None:
        cases = {"tokens up to 9": lambda c: c["test"]["tgt"][0].insert(1, 12),
                 "src-audio": lambda c: c["test"].pop("src-audio"),
                 "35 features of visual": lambda c: c["valid"].update({"src-visual": np.zeros((5, 60, 34), "f4")}),
                 "a split test": lambda c: c.pop("test"),
                 "samples of": lambda c: c["valid"].update({"src-text": np.zeros((0, 60, 300), "f4")}),
                 "[N, T, F]": lambda c: c["valid"].update({"src-text": np.zeros((5, 60, 300, 1), "f4")})}
        for i, (words, spoil) in enumerate(cases.items()):
            content, _ = aligned(self.random)
            spoil(content)
            with self.subTest(words):
                self.assert_refused(self.run_script("convert", torch_zip(self.path(f"{i}.pt"), content), "-o",
                                                    self.path("out")), 65, words)

    def test_memory_does_not_grow_with_the_data(self) -> None:
        peaks = []
        for steps in (20, 400):                                              # of 4 MiB and of 80 MiB
            content, _ = aligned(self.random, {"train": 110, "valid": 10, "test": 10}, steps)
            path = torch_zip(self.path(f"{steps}.pt"), content)              # protocol 2: arrays as text in UTF-8
            del content
            child = subprocess.run(
                [sys.executable, "-c", "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
                 "stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                 sys.executable, os.path.join(SCRIPTS, "convert"), path, "-o", self.path(f"out{steps}")],
                capture_output=True, text=True, check=True)
            peaks.append(int(child.stdout) / 1024)
        self.assertLess(peaks[1] - peaks[0], 40, peaks)

    @unittest.skipUnless(os.path.exists(TRAIN), "the program is not built")
    def test_the_trainer_takes_it(self) -> None:
        content, _ = aligned(self.random, steps=8)
        read = self.convert(torch_zip(self.path("a.pt"), content))
        os.mkdir(self.path("npz"))                                           # the same, once more
        for split, tensors in read["tensors"].items():
            np.savez(self.path(f"npz/{split}.npz"), label_names=",".join(EMOTIONS), **tensors)
        self.convert(self.path("npz"), output="again")
        digests = []
        for data in ("out", "again"):
            done = subprocess.run(
                [TRAIN, "run", "--data", self.path(data), "--output", self.path("run-" + data), "--epochs", "1", "--batch-size", "4",
                 "--layers", "1,1,1", "--hidden-size", "32", "--heads", "2", "--queue-size", "64", "--workers", "1", "--json"],
                capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            result = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual(result["steps"], 3)
            digests.append(result["digest"])
        self.assertEqual(digests[0], digests[1])


if __name__ == "__main__":
    unittest.main()
