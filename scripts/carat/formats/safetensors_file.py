"""Safetensors files: read and written by the package `safetensors`, but data sets, which are written row by row."""
import json
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import CANNOT_CREATE, CANNOT_WRITE, FormatError, OutputError
from ..program import need
from .mapped import Workspace

_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8",
          "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?"}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items() if name != "BF16"}
_ALIGNMENT = 64


def is_safetensors(view: memoryview) -> bool:
    """Whether it starts as such a file does: 8 bytes of little-endian header length, then JSON."""
    return len(view) > 10 and bytes(view[8:9]) == b"{" and int.from_bytes(view[:8], "little") <= len(view) - 8


def load(path: str, workspace: Workspace) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """The tensors, bfloat16 as float32, and the metadata."""
    need("safetensors")
    import safetensors
    view = workspace.map(path)
    try:
        # Not as arrays: NumPy has no bfloat16.
        found = safetensors.deserialize(bytes(view))
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise FormatError(path, "a safetensors file", str(error), "the file is damaged or of another kind; fetch or write it again")
    tensors: Dict[str, np.ndarray] = {}
    for name, entry in found:
        kind = entry["dtype"]
        if kind not in _TYPES:
            raise FormatError(path, "tensors of float, integer or bool", f"'{name}' of {kind}", "save it as float32")
        array = np.frombuffer(entry["data"], np.dtype(_TYPES[kind]).newbyteorder("<")).reshape(entry["shape"])
        tensors[name] = (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array
    return tensors, metadata


def save(path: str, tensors: Mapping[str, np.ndarray], metadata: Optional[Mapping[str, str]] = None) -> None:
    """Writes a whole file at once; not atomically."""
    need("safetensors")
    import safetensors
    from safetensors.numpy import save_file
    try:
        save_file({n: np.require(a, requirements="C") for n, a in tensors.items()}, path, dict(metadata or {}))
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    except (OSError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path}: can't write it: {getattr(error, 'strerror', None) or error}", CANNOT_WRITE)


class Planned(NamedTuple):
    """A tensor that will be written."""
    name: str
    dtype: np.dtype
    shape: Tuple[int, ...]

    @property
    def size(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count * self.dtype.itemsize


class SafetensorsWriter:
    """A file whose tensors are planned first and then written row by row, in any order, at their places: data sets are
    greater than memory, and the package `safetensors` writes whole tensors only.

    The file is at `path` from the start, of its full size; `close` writes it through to the disk."""

    def __init__(self, path: str, planned: Sequence[Planned], metadata: Optional[Mapping[str, str]] = None) -> None:
        self.path = path
        self._places: Dict[str, Tuple[int, Planned]] = {}
        header: Dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        offset = 0
        offsets: List[int] = []
        for tensor in planned:
            header[tensor.name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape),
                                   "data_offsets": [offset, offset + tensor.size]}
            offsets.append(offset)
            offset += tensor.size
        text = json.dumps(header, ensure_ascii=False).encode("utf-8")
        text += b" " * (-(8 + len(text)) % _ALIGNMENT)
        for tensor, at in zip(planned, offsets):
            self._places[tensor.name] = (8 + len(text) + at, tensor)
        self.size = 8 + len(text) + offset
        try:
            self._file = open(path, "xb", buffering=0)
        except OSError as error:
            raise OutputError(f"{path}: can't create it: {error.strerror}", CANNOT_CREATE)
        self._write(0, memoryview(len(text).to_bytes(8, "little") + text))
        try:
            self._file.truncate(self.size)
        except OSError as error:
            raise self._failure(error)

    def write(self, name: str, row: int, values: np.ndarray) -> None:
        """Some rows of a tensor, from `row` on."""
        start, tensor = self._places[name]
        row_size = tensor.size // max(tensor.shape[0], 1)
        contiguous = np.ascontiguousarray(values, tensor.dtype)
        assert contiguous.shape[1:] == tensor.shape[1:] and row + len(contiguous) <= tensor.shape[0]
        if contiguous.size:
            self._write(start + row * row_size, memoryview(contiguous).cast("B"))  # type: ignore[arg-type]

    def close(self) -> None:
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise self._failure(error)

    def _write(self, position: int, content: memoryview) -> None:
        try:
            while content:
                written = os.pwrite(self._file.fileno(), content[:1 << 26], position)
                position, content = position + written, content[written:]
        except OSError as error:
            raise self._failure(error)

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: can't write it: {error.strerror}", CANNOT_WRITE)
