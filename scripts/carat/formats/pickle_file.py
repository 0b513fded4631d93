"""Files that hold one object of Python: a pickle, a file of `torch.save`, or a zip file around one of them."""
from typing import Any

from ..errors import FormatError
from .mapped import Workspace
from .torch_file import is_old_torch_stream, is_torch_zip, load_stream, load_zip
from .torch_objects import TORCH
from .unpickle import Unpickler
from .zip_entries import ZipEntries

# What archivers add.
_BESIDE = ("__MACOSX/", ".DS_Store")


def load(path: str, workspace: Workspace) -> Any:
    """What the file holds; its arrays and tensors still lie in it."""
    return _load(workspace.map(path), path, workspace, inside_zip=False)


def is_npz(path: str, workspace: Workspace) -> bool:
    """Whether a zip file is one of NumPy's arrays."""
    return any(name.endswith(".npy") for name in ZipEntries(workspace.map(path), path, workspace).names)


def _load(view: memoryview, path: str, workspace: Workspace, inside_zip: bool) -> Any:
    if bytes(view[:2]) != b"PK":
        if is_old_torch_stream(view):
            return load_stream(view, path, workspace)
        return Unpickler(view, path, TORCH, workspace).load()
    entries = ZipEntries(view, path, workspace)
    if is_torch_zip(entries):
        return load_zip(entries, path, workspace)
    names = [n for n in entries.names if not n.endswith("/") and not n.startswith(_BESIDE) and not n.endswith(_BESIDE)]
    if len(names) != 1 or inside_zip:
        raise FormatError(path, "a file of torch.save, or a zip file with one pickle in it",
                          f"a zip file with {', '.join(names[:8]) or 'nothing'}", "unpack it")
    return _load(entries.read(names[0]), f"{path}: {names[0]}", workspace, inside_zip=True)
