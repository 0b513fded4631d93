"""NumPy's npz files, their arrays where they lie in the mapped file.

NumPy reads the headers. `numpy.load(allow_pickle=False)` would read the arrays into memory (all of them are needed at
once: 60 MiB become the size of the file), and refuse arrays of objects, such as the names of samples.
"""
import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..errors import FormatError
from .mapped import Workspace
from .plain_objects import PLAIN
from .unpickle import Unpickler
from .zip_entries import ZipEntries

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LONGEST_HEADER = 1 << 16


class NpzFile:
    """The arrays of an npz file by name, opened one at a time."""

    def __init__(self, path: str, workspace: Workspace) -> None:
        self.path, self._workspace = path, workspace
        self._entries = ZipEntries(workspace.map(path), path, workspace)
        self.names = [n[:-len(".npy")] for n in self._entries.names if n.endswith(".npy")]

    def array(self, name: str) -> Any:
        """A view of the elements; for objects an array of what their pickle holds."""
        data = self._entries.read(name + ".npy")
        try:
            start = io.BytesIO(data[:_LONGEST_HEADER])
            version = npy.read_magic(start)
            if version not in _HEADERS:
                raise ValueError(f"an npy header of version {version}")
            shape, fortran, dtype = _HEADERS[version](start)
            content = data[start.tell():]
            if dtype.hasobject:
                pickled = Unpickler(content, f"{self.path}: {name}", PLAIN, self._workspace).load()
                if not isinstance(pickled, np.ndarray):
                    raise ValueError("objects without an array")
                return pickled
            if dtype.kind not in "fiubSU" or min(shape, default=0) < 0:
                raise ValueError(f"elements of {dtype}, shape {shape}")
            if math.prod(shape) * dtype.itemsize != len(content):
                raise ValueError(f"{len(content)} bytes for {dtype} {shape}")
            if not content:
                return np.empty(shape, dtype)
            return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
        except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError, OverflowError) as error:
            raise FormatError(self.path, f"an npy array '{name}'", str(error), "write it again with numpy.savez")
