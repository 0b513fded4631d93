"""Safetensors files: 8 bytes of little-endian header length, a JSON header, then the elements without gaps."""
import json
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .errors import CANNOT_CREATE, CANNOT_WRITE, FormatError, OutputError
from .mapped import Workspace

_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "I16": np.int16,
          "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_LONGEST_HEADER = 100_000_000
_ALIGNMENT = 64
_REMEDY = "the file is damaged or no safetensors file; fetch or write it again"


def load(path: str, workspace: Workspace) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """The tensors, as views of the mapped file, and the metadata."""
    view = workspace.map(path)
    length = int.from_bytes(view[:8], "little")
    if len(view) < 10 or not 2 <= length <= min(_LONGEST_HEADER, len(view) - 8) or view[8] != ord("{"):
        raise FormatError(path, "a safetensors file", "no header at its start", _REMEDY)
    tensors: Dict[str, np.ndarray] = {}
    try:
        header = json.loads(bytes(view[8:8 + length]))
        metadata = header.pop("__metadata__", {})
        data = view[8 + length:]
        for name, entry in header.items():
            dtype, shape = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"])
            start, end = entry["data_offsets"]
            count = 1
            for n in shape:
                if not isinstance(n, int) or n < 0:
                    raise ValueError(f"shape {shape}")
                count *= n
            if not 0 <= start <= end <= len(data) or end - start != count * dtype.itemsize:
                raise ValueError(f"'{name}' of {dtype} {shape} at {start} to {end}")
            tensors[name] = np.frombuffer(data[start:end], dtype).reshape(shape) if count else np.empty(shape, dtype)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, "a header of tensors with dtype, shape, data_offsets", f"{error}", _REMEDY)
    return tensors, {str(k): str(v) for k, v in metadata.items()}


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
    """A file whose tensors are planned first and then written row by row, in any order, at their places.

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
            self._write(start + row * row_size, memoryview(contiguous).cast("B"))

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


def save(path: str, tensors: Mapping[str, np.ndarray], metadata: Optional[Mapping[str, str]] = None) -> None:
    """Writes a whole file at once; not atomically."""
    writer = SafetensorsWriter(path, [Planned(n, a.dtype, a.shape) for n, a in tensors.items()], metadata)
    for name, array in tensors.items():
        start, _ = writer._places[name]
        if array.size:
            writer._write(start, memoryview(np.ascontiguousarray(array)).cast("B"))
    writer.close()
