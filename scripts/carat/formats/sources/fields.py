"""Named fields by split, whatever holds them: a pickle, a torch or npz file, or a directory with a file a split.

A file is a dictionary of splits, each a dictionary of fields or a list of samples; a dictionary whose names start with a
split, `train_text` or `train/text`, or end with one; or has no splits."""
import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ...errors import FormatError
from ..dataset import ALL, SPLIT_NAMES, SPLITS, Options
from ..values import shape_text

# What a sample that is a tuple has in its places; more places are features' own words and the like.
_FEATURES = ("text", "visual", "audio")
_SAMPLE = ("features", "labels", "id")


@dataclass
class Fields:
    """The fields of each split, what the file calls its labels, and its dictionary of words, if it has them; `others` is what
    belongs to no split."""
    path: str
    kind: str
    splits: Dict[str, Dict[str, Any]]
    label_names: Any = None
    words: Any = None
    others: Dict[str, Any] = field(default_factory=dict)

    def has(self, role: str, options: Options) -> bool:
        return all(options.find(fields, role)[0] is not None for fields in self.splits.values())

    def describe(self, split: str) -> str:
        """What is there, for messages."""
        fields = self.splits[split]
        return ", ".join(f"{name} {shape_text(value)}" for name, value in list(fields.items())[:16]) or "nothing"


def split_of(name: str) -> Optional[str]:
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def with_text_keys(value: Dict[Any, Any]) -> Dict[str, Any]:
    """A dictionary by its names, bytes (of another Python) made text."""
    return {k.decode("latin-1") if isinstance(k, bytes) else k: v for k, v in value.items() if isinstance(k, (str, bytes))}


def of_content(content: Any, path: str, kind: str) -> Optional[Fields]:
    """The fields in what a file holds, or None if it is no dictionary and no list of samples."""
    if isinstance(content, (list, tuple)):
        columns = _columns(content, path)
        return Fields(path, kind, {ALL: columns}) if columns is not None else None
    if not isinstance(content, dict):
        return None
    content = with_text_keys(content)
    words, label_names = content.get("dict"), content.get("label_names")
    splits: Dict[str, Dict[str, Any]] = {}
    others = {k: v for k, v in content.items() if k not in ("dict", "label_names")}
    for name, value in content.items():
        split = split_of(name)
        if split is None or not isinstance(value, (dict, list, tuple)):
            continue
        fields = with_text_keys(value) if isinstance(value, dict) else _columns(value, path)
        if fields is None:
            raise FormatError(path, f"fields or samples in '{name}'", shape_text(value), "see docs/DATA.md")
        _add(splits, split, fields, path)
        del others[name]
    if not splits:
        for name, value in content.items():
            for pattern in (r"(?P<split>[A-Za-z]+)[_/.-](?P<field>.+)", r"(?P<field>.+)[_/.-](?P<split>[A-Za-z]+)"):
                match = re.fullmatch(pattern, name)
                split = split_of(match["split"]) if match else None
                if split is not None and match is not None:
                    splits.setdefault(split, {})[match["field"]] = value
                    others.pop(name, None)
                    break
    if not splits:
        splits, others = {ALL: others}, {}
    ordered = {split: splits[split] for split in (*SPLITS, ALL) if split in splits}
    for fields in ordered.values():
        label_names = fields.pop("label_names", label_names)
    return Fields(path, kind, ordered, label_names, words, others)


def directory_files(directory: str) -> Dict[str, str]:
    """The file of each split in a directory."""
    found: Dict[str, str] = {}
    for name in sorted(os.listdir(directory)):
        base, extension = os.path.splitext(name)
        split = split_of(base)
        if split is None or extension not in (".npz", ".pkl", ".pickle", ".pt", ".pth"):
            continue
        if split in found:
            raise FormatError(directory, f"one file for split {split}", f"{os.path.basename(found[split])} and {name}",
                              "take one away")
        found[split] = os.path.join(directory, name)
    return found


def _add(splits: Dict[str, Dict[str, Any]], split: str, fields: Dict[str, Any], path: str) -> None:
    if split in splits:
        raise FormatError(path, f"one split {split}", "two, of different names", "take one out")
    splits[split] = fields


def _columns(samples: Any, path: str) -> Optional[Dict[str, Any]]:
    """The fields of a list of samples, each a dictionary, or a tuple ((text, visual, audio, …), labels, id)."""
    if not samples or len({type(s) for s in samples}) != 1:
        return None
    if isinstance(samples[0], dict):
        rows: List[Dict[str, Any]] = [with_text_keys(sample) for sample in samples]
        for i, row in enumerate(rows):
            if set(row) != set(rows[0]):
                raise FormatError(path, f"{', '.join(rows[0])} in every sample", f"{', '.join(row)} in row {i}",
                                  "check what wrote the file")
        return {name: [row[name] for row in rows] for name in rows[0]}
    if not isinstance(samples[0], (tuple, list)) or not 2 <= len(samples[0]) <= len(_SAMPLE):
        return None
    if not isinstance(samples[0][0], (tuple, list)) or not 2 <= len(samples[0][0]) <= 8:
        return None
    sizes = {(len(s), len(s[0]) if isinstance(s[0], (tuple, list)) else 0) for s in samples}
    if len(sizes) != 1:
        raise FormatError(path, "samples ((text, visual, audio), labels, id)", f"tuples of {len(sizes)} sizes",
                          "check what wrote the file")
    out: Dict[str, Any] = {}
    for i in range(len(samples[0][0])):
        out[_FEATURES[i] if i < len(_FEATURES) else str(i)] = [sample[0][i] for sample in samples]
    for i, name in enumerate(_SAMPLE[1:len(samples[0])], 1):
        out[name] = [sample[i] for sample in samples]
    return out
