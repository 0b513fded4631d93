"""npz files: one a split in a directory, or a single one whose names start with the split: `train_text`, `train/text`."""
import os
import re
from typing import Any, Dict, List, Optional

from ..dataset import SPLIT_NAMES, SPLITS, Options, SourceDataset
from ..errors import FormatError
from ..labels import NamedLabels
from ..mapped import Workspace
from ..npz_file import NpzFile
from ..values import as_names
from . import split_dictionary


def directory_file(directory: str, split: str) -> Optional[str]:
    """The npz file of a split in a directory."""
    for name in SPLIT_NAMES[split]:
        path = os.path.join(directory, name + ".npz")
        if os.path.exists(path):
            return path
    return None


def splits_of(path: str, workspace: Workspace) -> Dict[str, Dict[str, Any]]:
    """The arrays of each split by name."""
    if os.path.isdir(path):
        files = {split: directory_file(path, split) for split in SPLITS}
        missing = [split for split in SPLITS if files[split] is None]
        if missing:
            raise FormatError(path, "train.npz, valid.npz and test.npz", f"no {missing[0]}.npz", "add it")
        return {split: _arrays(NpzFile(file, workspace)) for split, file in files.items() if file is not None}
    file = NpzFile(path, workspace)
    splits: Dict[str, Dict[str, Any]] = {}
    shared: Dict[str, Any] = {}
    for name in file.names:
        match = re.fullmatch(r"([a-z]+)[_/.-](.+)", name)
        split = next((s for s in SPLITS if match and match[1] in SPLIT_NAMES[s]), None)
        if split is not None and match is not None:
            splits.setdefault(split, {})[match[2]] = file.array(name)
        elif name == "label_names":
            shared[name] = file.array(name)
    for split in splits.values():
        for name, value in shared.items():
            split.setdefault(name, value)
    if not splits:
        raise FormatError(path, "arrays whose names start with a split, such as train_text",
                          ", ".join(file.names[:16]), "rename them, or give a directory with train.npz …")
    return splits


def label_names(splits: Dict[str, Dict[str, Any]]) -> Optional[List[str]]:
    """The names of the labels, if the files hold them: an array of strings, or one string with commas."""
    value = splits.get("train", {}).get("label_names")
    names = as_names(value.reshape(-1)) if value is not None else None
    return [n.strip() for n in names[0].split(",")] if names is not None and len(names) == 1 else names


def open_source(path: str, workspace: Workspace, options: Options, named: Optional[NamedLabels],
                other: Optional[split_dictionary.SplitLabels]) -> SourceDataset:
    source = split_dictionary.open_source({}, splits_of(path, workspace), path, options, named, other)
    source.format = "npz"
    return source


def _arrays(file: NpzFile) -> Dict[str, Any]:
    return {name: file.array(name) for name in file.names}
