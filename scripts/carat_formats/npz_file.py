"""NumPy's npz files: a zip file of npy arrays, viewed in place."""
import ast
import struct
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .errors import FormatError
from .mapped import Workspace
from .plain_objects import PLAIN, PickledArray
from .unpickle import Unpickler
from .zip_entries import ZipEntries

_REMEDY = "write it again with numpy.savez"


class NpzFile:
    """The arrays of an npz file by name, opened one at a time."""

    def __init__(self, path: str, workspace: Workspace, view: Optional[memoryview] = None) -> None:
        self.path, self._workspace = path, workspace
        self._entries = ZipEntries(workspace.map(path) if view is None else view, path, workspace)
        self.names = [n[:-len(".npy")] for n in self._entries.names if n.endswith(".npy")]

    def array(self, name: str) -> Any:
        """A view of the elements; for objects an array of what their pickle holds."""
        data = self._entries.read(name + ".npy")
        try:
            dtype, fortran, shape, start = _header(data)
            content = data[start:]
            if dtype.hasobject:
                pickled = Unpickler(content, f"{self.path}: {name}", PLAIN, self._workspace).load()
                if not isinstance(pickled, PickledArray):
                    raise ValueError("objects without an array")
                return pickled.array()
            count = 1
            for n in shape:
                count *= n
            if count * dtype.itemsize != len(content):
                raise ValueError(f"{len(content)} bytes for {dtype} {shape}")
            if count == 0:
                return np.empty(shape, dtype)
            return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
        except (ValueError, SyntaxError, KeyError, TypeError, struct.error, RecursionError, MemoryError) as error:
            raise FormatError(self.path, f"an npy array '{name}'", str(error), _REMEDY)


def _header(data: memoryview) -> Tuple[np.dtype, bool, Tuple[int, ...], int]:
    """Type, whether in Fortran order, shape, and where the elements start; versions 1 to 3 of the npy format."""
    if bytes(data[:6]) != b"\x93NUMPY" or len(data) < 12:
        raise ValueError("no npy header")
    version = data[6]
    if version not in (1, 2, 3):
        raise ValueError(f"an npy header of version {version}")
    form, start = ("<H", 10) if version == 1 else ("<I", 12)
    length = struct.unpack(form, data[8:start])[0]
    if length > 1 << 16 or start + length > len(data):
        raise ValueError(f"an npy header of {length} bytes")
    header: Dict[str, Any] = ast.literal_eval(str(data[start:start + length], "utf-8" if version == 3 else "latin-1"))
    shape = header["shape"]
    if not isinstance(header["descr"], str) or not isinstance(shape, tuple) or not all(
            isinstance(n, int) and 0 <= n < 1 << 48 for n in shape):
        raise ValueError("an npy header without a plain type and shape")
    return np.dtype(header["descr"]), bool(header["fortran_order"]), shape, start + length
