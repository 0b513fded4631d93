"""Files that look like those people have: the same nesting, types and oddities, small and random."""
import argparse
import collections
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock
import zipfile
from typing import Any, Dict, List, Tuple

import numpy as np
from carat.formats import safetensors_file
from carat.formats.mapped import Workspace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "scripts")

COUNTS = {"train": 12, "valid": 5, "test": 7}
EMOTIONS = ["happy", "sad", "anger", "surprise", "disgust", "fear"]


class FileTestCase(unittest.TestCase):
    """A test with a directory of its own and a seeded random generator."""

    def setUp(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self.directory = self._directory.name
        self.random = np.random.default_rng(7)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def pickle(self, name: str, content: Any, protocol: int = 4) -> str:
        with open(self.path(name), "wb") as file:
            pickle.dump(content, file, protocol=protocol)
        return self.path(name)

    def bytes(self, name: str, content: bytes) -> str:
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def run_script(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, os.path.join(SCRIPTS, script), *arguments], capture_output=True, text=True)

    def convert(self, *arguments: str, output: str = "out") -> Dict[str, Any]:
        """Converts, reads the result back, and returns the summary with the tensors of each split under "tensors"."""
        done = self.run_script("convert", *arguments, "-o", self.path(output), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)
        summary["tensors"], summary["metadata"] = {}, {}
        for split in COUNTS:
            tensors, metadata = safetensors_file.load(os.path.join(self.path(output), split + ".safetensors"), Workspace())
            summary["tensors"][split], summary["metadata"][split] = tensors, metadata
        return summary

    def assert_refused(self, done: "subprocess.CompletedProcess[str]", status: int, *words: str) -> None:
        """One line on the standard error, this status, nothing on the standard output and no trace."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)


class ContradictionTestCase(FileTestCase):
    """Small files of MMSA's kind: ids, lengths, a sentiment, and six emotions."""

    def content(self, steps: int = 10) -> dict:
        content = {}
        for split, n in COUNTS.items():
            lengths = {m: self.random.integers(1, steps, n) for m in ("text", "vision", "audio")}
            split_content = {"id": [f"{split}{i // 4}$_${i % 4}" for i in range(n)],
                             "regression_labels": np.round(self.random.uniform(-3, 3, n), 1),
                             "emotion_labels": np.where(self.random.random((n, 6)) < 0.6, 0, self.random.integers(1, 10, (n, 6)) / 3)}
            for (m, length), width in zip(lengths.items(), (8, 5, 6)):
                array = self.random.standard_normal((n, steps, width)).astype(np.float32)
                array[np.arange(steps) >= length[:, None]] = 0
                split_content.update({m: array, f"{m}_lengths": length})
            content[split] = split_content
        return content

    def truth(self, content: dict, split: str) -> np.ndarray:
        return (content[split]["emotion_labels"] > 0).astype(np.float32)

    def without_labels(self, content: dict) -> dict:
        return {s: {k: v for k, v in f.items() if k != "emotion_labels"} for s, f in content.items()}

    def shuffled_labels(self, content: dict) -> dict:
        out = {}
        for split, fields in content.items():
            order = self.random.permutation(len(fields["id"]))
            out[split] = {k: [fields[k][i] for i in order] for k in ("id", "emotion_labels", "regression_labels")}
        return out

    def refused(self, *arguments: str, status: int = 65, words: tuple = ()) -> str:
        """What was said; nothing was written."""
        done = self.run_script("convert", *arguments, "-o", self.path("refused"))
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertFalse(os.path.exists(self.path("refused")))
        for word in words:
            self.assertIn(word, done.stderr)
        return done.stderr

    def assert_note(self, read: dict, words: str) -> None:
        self.assertTrue(any(words in note for note in read["notes"]), read["notes"])

    def read_ids(self, read: dict, split: str) -> list:
        return [bytes(row).rstrip(b"\0").decode("utf-8") for row in read["tensors"][split]["ids"]]


def tokens(labels: np.ndarray) -> List[List[int]]:
    """Token lists as the authors have them: 2, a token from 4 on a label, 3."""
    return [[2, *(int(i) + 4 for i in np.flatnonzero(row)), 3] for row in labels]


def aligned(random: np.random.Generator, counts: Dict[str, int] = COUNTS, steps: int = 60
            ) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
    """The authors' train_valid_test.pt, and its labels. Text is float64, audio has −inf and a NaN, as released files do."""
    content: Dict[str, Any] = {
        "settings": argparse.Namespace(max_len=60, share_vocab=False),
        "dict": {"src": {"<blank>": 0, "word": 4},
                 "tgt": {"<blank>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, **{n: i + 4 for i, n in enumerate(EMOTIONS)}}}}
    labels = {}
    for split, n in counts.items():
        labels[split] = (random.random((n, 6)) < 0.3).astype(np.float32)
        audio = random.standard_normal((n, steps, 74)).astype(np.float32)
        audio[0, :2, 5] = -np.inf
        audio[1, steps - 1, 3] = np.nan
        content[split] = {"src-text": random.standard_normal((n, steps, 300)),
                          "src-visual": random.standard_normal((n, steps, 35)).astype(np.float32), "src-audio": audio,
                          "tgt": tokens(labels[split])}
    return content, labels


def unaligned(random: np.random.Generator) -> Dict[str, Any]:
    """mosei_senti_data_noalign.pkl: text 50, vision and audio 500 steps, a sentiment and the segments' names."""
    return {split: {"text": random.standard_normal((n, 50, 300)).astype(np.float32),
                    "vision": random.standard_normal((n, 500, 35)), "audio": random.standard_normal((n, 500, 74)),
                    "labels": random.uniform(-3, 3, (n, 1, 1)),
                    "id": np.array([[f"{split}{i}", "0.5", "7.25"] for i in range(n)])} for split, n in COUNTS.items()}


def mmsa(random: np.random.Generator) -> Dict[str, Any]:
    """MMSA's unaligned_50.pkl."""
    content = {}
    for split, n in COUNTS.items():
        text_length = random.integers(5, 51, n)
        mask = (np.arange(50)[None] < text_length[:, None]).astype(np.float32)
        content[split] = {
            "raw_text": np.array(["so it goes"] * n), "audio": random.standard_normal((n, 100, 25)).astype(np.float32),
            "vision": random.standard_normal((n, 80, 20)).astype(np.float32), "id": [f"{split}{i}$_${i % 3}" for i in range(n)],
            "text": random.standard_normal((n, 50, 768)).astype(np.float32),
            "text_bert": np.stack([mask * 101, mask, mask * 0], 1), "annotations": ["Neutral"] * n,
            "audio_lengths": [int(k) for k in random.integers(0, 101, n)],
            "vision_lengths": [int(k) for k in random.integers(1, 81, n)],
            "classification_labels": np.ones(n), "regression_labels": random.uniform(-3, 3, n).astype(np.float32)}
    return content


def m3ed(random: np.random.Generator) -> Tuple[List[Any], Dict[str, np.ndarray]]:
    """M3ED's list: dialogues of up to 70 utterances, of which CARAT's reader keeps 60."""
    dialogues = [f"dialogue_{i}" for i in range(sum(COUNTS.values()))]
    lengths = {d: int(random.integers(2, 71)) for d in dialogues}
    lengths[dialogues[0]] = 70
    numbers = collections.OrderedDict((d, [int(k) for k in random.integers(0, 7, lengths[d])]) for d in dialogues)

    def features(width: int) -> Any:
        return collections.OrderedDict(
            (d, random.standard_normal((lengths[d], width)).astype(np.float32)) for d in dialogues)

    names, start = {}, 0
    for split, n in COUNTS.items():
        names[split], start = dialogues[start:start + n], start + n
    content = [collections.OrderedDict((d, ["A"]) for d in dialogues), {}, numbers, features(768), features(1024),
               features(342), collections.OrderedDict((d, ["text"]) for d in dialogues), *names.values()]
    labels = {}
    for split in COUNTS:
        labels[split] = np.zeros((len(names[split]), 7), np.float32)
        for i, d in enumerate(names[split]):
            labels[split][i, numbers[d]] = 1
    return content, labels


def torch_zip(path: str, content: Any) -> str:
    """What torch.save makes of plain data and NumPy arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return path


def torch_stream(path: str, content: Any) -> str:
    """What torch.save made of them before PyTorch 1.6."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001}, content, [])
    with open(path, "wb") as file:
        for part in parts:
            pickle.dump(part, file, protocol=2)
    return path


class _Storage:
    """What torch.save refers to."""


def torch_storage(values: np.ndarray) -> bytes:
    """The file of torch.save, of before 1.6, in which `pickle.dump` puts the storage of a tensor."""
    class FloatStorage:
        pass

    torch = types.ModuleType("torch")
    FloatStorage.__module__, FloatStorage.__qualname__, torch.FloatStorage = "torch", "FloatStorage", FloatStorage
    with unittest.mock.patch.dict(sys.modules, {"torch": torch}):
        file = io.BytesIO()
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001}):
            pickle.dump(part, file, protocol=2)
        pickler = pickle.Pickler(file, protocol=2)
        pickler.persistent_id = lambda value: (  # type: ignore[method-assign]
            ("storage", FloatStorage, "94", "cpu", values.size, None) if isinstance(value, _Storage) else None)
        pickler.dump(_Storage())
        pickle.dump(["94"], file, protocol=2)
        file.write(values.size.to_bytes(8, "little") + values.astype("<f4").tobytes())
        return file.getvalue()
