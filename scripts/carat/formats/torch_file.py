"""Files of `torch.save`, without torch: the zip files of PyTorch 1.6 and later, and the older stream."""
import struct
import zipfile
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from ..errors import FormatError
from .mapped import Workspace
from .torch_objects import TORCH, StorageType, storage_reference
from .unpickle import Global, Unpickler, raw_bytes
from .zip_entries import ZipEntries

_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_REMEDY = "fetch the file again, or save it anew with torch.save"


def is_torch_zip(entries: ZipEntries) -> bool:
    """Whether a zip file is one of `torch.save`."""
    return any(name.endswith("/data.pkl") for name in entries.names)


def is_old_torch_stream(view: memoryview) -> bool:
    return bytes(view[:2]) == b"\x80\x02" and _OLD_MAGIC.to_bytes(10, "little") in bytes(view[:32])


def load_zip(entries: ZipEntries, path: str, workspace: Workspace) -> Any:
    """What PyTorch 1.6 and later saved, with tensors that still lie in the file."""
    roots = [name[:-len("data.pkl")] for name in entries.names if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise FormatError(path, "one data.pkl in the zip file", f"{len(roots)}", _REMEDY)
    root, names = roots[0], set(entries.names)
    if root + "byteorder" in names and bytes(entries.read(root + "byteorder", checked=False)[:6]) != b"little":
        raise FormatError(path, "tensors in little-endian order", "another order", "save it on another machine")
    storages: Dict[str, np.ndarray] = {}

    def find(reference: Any) -> np.ndarray:
        kind, key, count, _ = storage_reference(reference)
        if key not in storages:
            if f"{root}data/{key}" not in names:
                raise ValueError(f"no storage '{key}'")
            storages[key] = kind.elements(entries.read(f"{root}data/{key}", checked=False), count)
        return storages[key]

    return Unpickler(entries.read(root + "data.pkl", checked=False), path, TORCH, workspace, persistent=find).load()


def load_stream(view: memoryview, path: str, workspace: Workspace) -> Any:
    """What earlier versions saved: four pickles (magic number, version, system, what was saved), one with the storages'
    keys, then the storages. These are read into memory: where they are is known only after the tensors."""
    storages: Dict[str, Tuple[StorageType, np.ndarray]] = {}

    def find(reference: Any) -> np.ndarray:
        kind, key, count, part = storage_reference(reference)
        if part is not None:
            raise ValueError("a view of a storage, as PyTorch before 0.4 wrote it")
        if key not in storages:
            if count * kind.stored.itemsize > len(view):
                raise ValueError(f"a storage of {count} elements in a file of {len(view)} bytes")
            storages[key] = kind, np.empty(count, kind.dtype)
        return storages[key][1]

    position, parts = 0, []
    for _ in range(5):
        unpickler = Unpickler(view, path, TORCH, workspace, position, persistent=find)
        parts.append(unpickler.load())
        position = unpickler.position
    if parts[0] != _OLD_MAGIC or not isinstance(parts[4], list) or set(parts[4]) != set(storages):
        raise FormatError(path, "a file of torch.save with the storages of its tensors", "others, or another file", _REMEDY)
    for key in parts[4]:
        kind, elements = storages[key]
        start = position + 8
        position = start + elements.size * kind.stored.itemsize
        if position > len(view) or struct.unpack("<q", view[start - 8:start])[0] != elements.size:
            raise FormatError(path, f"a storage of {elements.size} elements at byte {start}",
                              f"another size, or the file's end at {len(view)}", _REMEDY)
        elements[:] = kind.elements(view[start:position], elements.size)
    return parts[3]


def _storage_from_bytes(content: Any) -> Any:
    """The storage of a tensor that pickle itself wrote, and not torch.save: a file of torch.save within the pickle."""
    view = memoryview(raw_bytes(content))
    if not is_old_torch_stream(view):
        raise ValueError("a tensor without a storage; save it with torch.save, or as a NumPy array")
    return load_stream(view, "a tensor's storage", Workspace())


TORCH["torch.storage", "_load_from_bytes"] = Global("torch.storage._load_from_bytes", _storage_from_bytes)

_STORAGE_NAMES = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int64): "LongStorage"}


def write_state_dict(path: str, tensors: Mapping[str, np.ndarray]) -> None:
    """A zip file that `torch.load(path, weights_only=True)` reads as an OrderedDict of tensors.

    float32 and int64 only, each tensor a storage of its own."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        arrays = [np.ascontiguousarray(array) for array in tensors.values()]
        pickled = _pickle_state_dict(list(tensors), [a.reshape(tensors[n].shape) for n, a in zip(tensors, arrays)])
        _add(archive, "archive/data.pkl", pickled)
        _add(archive, "archive/byteorder", b"little")
        for i, array in enumerate(arrays):
            _add(archive, f"archive/data/{i}", array.tobytes())
        _add(archive, "archive/version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)                                             # its date is fixed, so files are the same
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(name) + 4
    padding = -start % 64                                                    # torch maps storages, if they are aligned
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, content)


def _pickle_state_dict(names: List[str], arrays: List[np.ndarray]) -> bytes:
    """The pickle of an OrderedDict from names to `torch._utils._rebuild_tensor_v2` of a storage, in protocol 2."""

    def text(value: str) -> bytes:
        encoded = value.encode("utf-8")
        return b"X" + struct.pack("<I", len(encoded)) + encoded

    def number(value: int) -> bytes:
        if 0 <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        return b"\x8a\x08" + struct.pack("<q", value)

    def numbers(values: Tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(v) for v in values) + b"t"

    ordered = b"ccollections\nOrderedDict\n)R"
    out = [b"\x80\x02", ordered, b"("]
    for i, (name, array) in enumerate(zip(names, arrays)):
        strides = tuple(s // array.itemsize for s in array.strides)
        out += [text(name), b"ctorch._utils\n_rebuild_tensor_v2\n(", b"(", text("storage"),
                b"ctorch\n" + _STORAGE_NAMES[array.dtype].encode() + b"\n", text(str(i)), text("cpu"),
                number(array.size), b"tQ", number(0), numbers(array.shape), numbers(strides), b"\x89", ordered, b"tR"]
    out += [b"u."]
    return b"".join(out)
