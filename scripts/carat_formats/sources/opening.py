"""Tells what kind of files these are, and opens them."""
import os
from typing import Any, List, Optional, Tuple

from .. import labels as label_kinds
from ..dataset import Options, SourceDataset
from ..errors import FormatError, UsageError
from ..labels import NamedLabels
from ..mapped import Workspace
from ..torch_file import is_old_torch_stream, is_torch_zip, load
from ..torch_objects import TORCH
from ..unpickle import Unpickler
from . import csd, m3ed, npz, split_dictionary

FORMATS = ("splits", "m3ed", "csd", "npz")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def kind_of(path: str, workspace: Workspace) -> str:
    """"csd", "npz", or "pickle" for pickles and torch files."""
    if os.path.isdir(path):
        return "csd" if any(name.endswith(".csd") for name in os.listdir(path)) else "npz"
    view = workspace.map(path)
    start = bytes(view[:8])
    if start == _HDF5:
        return "csd"
    if start[:2] == b"PK":
        return "pickle" if is_torch_zip(view, path, workspace) else "npz"
    if start[:2] == b"\x1f\x8b":
        raise FormatError(path, "a pickle, torch, npz or csd file", "a gzip file", "unpack it with gunzip")
    return "pickle"


def unpickled(path: str, workspace: Workspace) -> Any:
    """What a pickle or torch file holds."""
    view = workspace.map(path)
    if bytes(view[:2]) == b"PK" or is_old_torch_stream(view):
        return load(view, path, workspace)
    return Unpickler(view, path, TORCH, workspace).load()


def open_dataset(paths: List[str], options: Options, workspace: Workspace, forced: Optional[str] = None) -> SourceDataset:
    """The data set in these files; of two pickles one may hold the features and the other the labels."""
    for path in paths:
        if not os.path.exists(path):
            raise FormatError(path, "a file or directory", "none", "check the path")
    kind = {None: None, "splits": "pickle", "m3ed": "pickle"}.get(forced, forced) or kind_of(paths[0], workspace)
    if kind == "csd":
        return csd.open_source(paths, options)
    if len(paths) > 2 or len(paths) == 2 and options.labels is not None:
        raise UsageError("give one file, or one with features and one with labels")
    if kind == "npz":
        named, other = _labels(options.labels or (paths[1] if len(paths) == 2 else None), options, workspace)
        options = _with_names(options, npz.label_names(npz.splits_of(paths[0], workspace)))
        return npz.open_source(paths[0], workspace, options, named, other)
    return _open_pickles(paths, options, workspace, forced)


def _open_pickles(paths: List[str], options: Options, workspace: Workspace, forced: Optional[str]) -> SourceDataset:
    contents = [unpickled(path, workspace) for path in paths]
    if forced != "splits" and m3ed.is_m3ed(contents[0]) and len(paths) == 1:
        return m3ed.open_source(contents[0], paths[0], options)
    splits = [split_dictionary.splits_of(content) for content in contents]
    if forced == "m3ed" or any(s is None for s in splits):
        wrong = next((p for p, s in zip(paths, splits) if s is None), paths[0])
        raise FormatError(wrong, "a dictionary of splits train, valid, test" if forced != "m3ed" else "M3ED's list",
                          _outline(contents[paths.index(wrong)]), "say what it is with --format, or see docs/DATA.md")
    if len(paths) == 2 and "tgt" not in (splits[1] or {})["train"]:          # the one with the token lists is the labels'
        paths, contents, splits = paths[::-1], contents[::-1], splits[::-1]
    named, other = _labels(options.labels, options, workspace)
    if len(paths) == 2:
        other = split_dictionary.SplitLabels(contents[1], splits[1] or {}, paths[1], options)
    return split_dictionary.open_source(contents[0], splits[0] or {}, paths[0], options, named, other)


def _labels(path: Optional[str], options: Options, workspace: Workspace
            ) -> Tuple[Optional[NamedLabels], Optional[split_dictionary.SplitLabels]]:
    """Labels from a file of their own: by the names of samples (CSV, csd), or in their order (pickle, torch, npz)."""
    if path is None:
        return None, None
    if path.endswith((".csv", ".tsv")):
        return label_kinds.from_table(path, options.label_names, options.threshold), None
    kind = kind_of(path, workspace)
    if kind == "csd":
        return csd.named_labels(path, options), None
    if kind == "npz":
        splits = npz.splits_of(path, workspace)
        return None, split_dictionary.SplitLabels({}, splits, path, _with_names(options, npz.label_names(splits)))
    content = unpickled(path, workspace)
    found = split_dictionary.splits_of(content)
    if found is None:
        raise FormatError(path, "labels in a dictionary of splits", _outline(content), "see docs/DATA.md")
    return None, split_dictionary.SplitLabels(content, found, path, options)


def _with_names(options: Options, names: Optional[List[str]]) -> Options:
    from dataclasses import replace
    return options if options.label_names is not None or names is None else replace(options, label_names=names)


def _outline(content: Any) -> str:
    if isinstance(content, dict):
        return "a dictionary of " + (", ".join(str(k) for k in list(content)[:8]) or "nothing")
    if isinstance(content, (list, tuple)):
        return f"a list of {len(content)}: " + ", ".join(type(v).__name__ for v in content[:4])
    return type(content).__name__
