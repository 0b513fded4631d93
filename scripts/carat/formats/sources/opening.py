"""Tells what kind of files these are, and opens them."""
import os
from typing import Any, List, Optional

from ...errors import FormatError, UsageError
from .. import label_tables
from ..dataset import ALL, Options, SourceDataset
from ..labels import TOKENS
from ..mapped import Workspace
from ..npz_file import NpzFile
from ..pairing import LabelTable
from ..pickle_file import is_npz
from ..pickle_file import load as unpickled
from . import csd, csd_labels, field_source, fields, m3ed
from .fields import Fields

_HDF5 = b"\x89HDF\r\n\x1a\n"


def kind_of(path: str, workspace: Workspace) -> str:
    """"csd", "npz", or "pickle" for pickles and torch files; "directory" for one with a file a split."""
    if os.path.isdir(path):
        return "csd" if any(name.endswith(".csd") for name in os.listdir(path)) else "directory"
    view = workspace.map(path)
    start = bytes(view[:8])
    if start == _HDF5:
        return "csd"
    if start[:2] == b"PK":
        return "npz" if is_npz(path, workspace) else "pickle"
    if start[:2] == b"\x1f\x8b":
        raise FormatError(path, "a pickle, torch, npz or csd file", "a gzip file", "unpack it with gunzip")
    return "pickle"


def open_dataset(paths: List[str], options: Options, workspace: Workspace, forced: Optional[str] = None) -> SourceDataset:
    """The data set in these files; of two one may hold the features and the other the labels."""
    for path in paths:
        if not os.path.exists(path):
            raise FormatError(path, "a file or directory", "none", "check the path")
    if (forced or kind_of(paths[0], workspace)) == "csd":
        return csd.open_source(paths, options)
    if options.folds is not None or options.align != "none":
        raise UsageError("--folds and --align are for computational sequences")
    if len(paths) > 2 or len(paths) == 2 and options.labels is not None:
        raise UsageError("give one file, or one with features and one with labels")
    if len(paths) == 1:
        kind = kind_of(paths[0], workspace)
        if kind == "pickle" and forced in (None, "m3ed"):
            content = unpickled(paths[0], workspace)
            if m3ed.is_m3ed(content):
                return m3ed.open_source(content, paths[0], options)
            if forced == "m3ed":
                raise FormatError(paths[0], "M3ED's list", _outline(content), "leave --format out")
            first = _require(fields.of_content(content, paths[0], "splits"), paths[0], content)
        else:
            first = _fields(paths[0], workspace)
        labels = options.labels
        return field_source.open_source(first, options, None if labels is None else lambda: _table(labels, options, workspace))
    first, second = _fields(paths[0], workspace), _fields(paths[1], workspace)
    if _is_of_labels(first, options) and not _is_of_labels(second, options):
        first, second = second, first
    return field_source.open_source(first, options, lambda: field_source.label_table(second, options))


def _is_of_labels(content: Fields, options: Options) -> bool:
    """Whether of two files this is the one with the labels: it lacks features, or has the authors' token lists."""
    return content.has(TOKENS, options) or not all(content.has(m, options) for m in options.modalities)


def _fields(path: str, workspace: Workspace) -> Fields:
    kind = kind_of(path, workspace)
    if kind == "directory":
        return _of_directory(path, workspace)
    if kind == "npz":
        file = NpzFile(path, workspace)
        content: Any = {name: file.array(name) for name in file.names}
    else:
        content = unpickled(path, workspace)
    return _require(fields.of_content(content, path, "npz" if kind == "npz" else "splits"), path, content)


def _of_directory(path: str, workspace: Workspace) -> Fields:
    """A file a split, each without splits of its own."""
    files = fields.directory_files(path)
    if not files:
        raise FormatError(path, "train.npz, valid.npz and test.npz, or such .pkl or .pt files, or .csd files", "none",
                          "check the path, or rename the files")
    parts = {split: _fields(file, workspace) for split, file in files.items()}
    for split, part in parts.items():
        if list(part.splits) != [ALL]:
            raise FormatError(files[split], "the fields of one split", f"splits {', '.join(part.splits)}",
                              "give this file by itself")
    named = [part for part in parts.values() if part.label_names is not None]
    return Fields(path, next(iter(parts.values())).kind, {split: parts[split].splits[ALL] for split in files},
                  named[0].label_names if named else None)


def _require(found: Optional[Fields], path: str, content: Any) -> Fields:
    if found is None:
        raise FormatError(path, "a dictionary of splits or fields, or a list of samples", _outline(content),
                          "see docs/DATA.md for what is read")
    return found


def _table(path: str, options: Options, workspace: Workspace) -> LabelTable:
    """Labels from a file of their own."""
    if path.endswith(label_tables.SUFFIXES):
        return label_tables.read(path, options)
    if kind_of(path, workspace) == "csd":
        return csd_labels.read(csd_labels.open_file(path), options)
    return field_source.label_table(_fields(path, workspace), options)


def _outline(content: Any) -> str:
    if isinstance(content, dict):
        return "a dictionary of " + (", ".join(str(k) for k in list(content)[:8]) or "nothing")
    if isinstance(content, (list, tuple)):
        return f"a list of {len(content)}: " + ", ".join(type(v).__name__ for v in content[:4])
    return type(content).__name__
