"""The names of Python and NumPy that a pickle may use, and what stands for them here."""
import re
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .unpickle import Global, LongText, Record, raw_bytes

_SIMPLE_KINDS = "fiub"
_TYPE_NAME = re.compile(r"[<>|=]?[a-zA-Z?]\d{0,6}")


class PickledType:
    """A NumPy dtype: one number an element, a string, or an object."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _TYPE_NAME.fullmatch(code):
            raise ValueError("an element type of an unknown name")
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise ValueError("an element type without a state")
        if len(state) > 4 and (state[2] is not None or state[4]):
            raise ValueError("an element type of several fields")
        if state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def type(self) -> np.dtype:
        try:
            dtype = np.dtype(self.code)
        except TypeError:                                                    # such as f3
            raise ValueError(f"elements of type {self.code}")
        return dtype if self.order == "|" else dtype.newbyteorder(self.order)


class PickledArray:
    """A NumPy array whose elements lie in the file, until `array` is called."""

    def __init__(self, *_: Any) -> None:
        self.shape: Tuple[int, ...] = ()
        self.dtype: Optional[PickledType] = None
        self.fortran = False
        self.content: Any = None

    @classmethod
    def from_buffer(cls, content: Any, dtype: Any, shape: Any, order: Any) -> "PickledArray":
        """Protocol 5."""
        made = cls()
        made.set_state((1, shape, dtype, order == "F", content))
        return made

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array without a state")
        shape, dtype, fortran, content = state[-4:]
        if not isinstance(dtype, PickledType) or not isinstance(shape, tuple):
            raise ValueError("an array without a type or a shape")
        if not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in shape) or len(shape) > 8:
            raise ValueError(f"an array of shape {shape[:8]}")
        self.shape, self.dtype, self.fortran, self.content = shape, dtype, bool(fortran), content

    def array(self) -> np.ndarray:
        """A view of the elements where they lie; for an array of objects their list, as objects.

        Raises ValueError if their number is not that of the shape."""
        if self.dtype is None:
            raise ValueError("an array without elements")
        count = 1
        for n in self.shape:
            count *= n
        if self.dtype.code.lstrip("<>|=") in ("O", "O8", "O4"):
            if not isinstance(self.content, list) or len(self.content) != count:
                raise ValueError(f"objects for an array of shape {self.shape}")
            array = np.empty(count, object)
            array[:] = self.content
            return array.reshape(self.shape, order="F" if self.fortran else "C")
        dtype = self.dtype.type()
        if dtype.hasobject or dtype.kind not in _SIMPLE_KINDS + "SU":
            raise ValueError(f"elements of type {self.dtype.code}")
        content = memoryview(raw_bytes(self.content))
        if count * dtype.itemsize != content.nbytes:
            raise ValueError(f"{content.nbytes} bytes for an array of {self.shape} {dtype}")
        if count == 0:
            return np.empty(self.shape, dtype)
        return np.frombuffer(content, dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _scalar(dtype: Any, content: Any = None) -> Any:
    """One number of NumPy, as one of Python."""
    if not isinstance(dtype, PickledType) or dtype.type().kind not in _SIMPLE_KINDS + "SU":
        raise ValueError("a NumPy number of an unknown type")
    content = bytes(raw_bytes(content))
    if len(content) != dtype.type().itemsize:
        raise ValueError(f"{len(content)} bytes for a number of {dtype.code}")
    return np.frombuffer(content, dtype.type())[0].item() if content else ""


def _encode(text: Any, encoding: Any = "latin-1") -> Any:
    """How protocol 2 writes bytes: as a string, which stays where it is."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, (str, LongText)):
        raise ValueError("bytes in another encoding than Latin-1")
    return text


def _bytes(content: Any = b"", _: Any = None) -> Any:
    """Bytes as protocols before 3 write them: what is in a text or a list."""
    if isinstance(content, (list, tuple)):
        return bytes(content)
    if not isinstance(content, (str, bytes, memoryview, LongText)):
        raise ValueError("bytes out of a number")
    return content


def _items(items: Any = ()) -> Any:
    """A set, as the list of its items."""
    if not isinstance(items, (list, tuple)):
        raise ValueError("a set without items")
    return items


def _dictionary(items: Any = ()) -> Dict[Any, Any]:
    return dict(items) if isinstance(items, (list, tuple)) else {}


def _reconstructor(kind: Any, *_: Any) -> Any:
    if not isinstance(kind, Global):
        raise ValueError("an object of an unknown kind")
    return kind()


def _table() -> Dict[Tuple[str, str], Global]:
    table: Dict[Tuple[str, str], Global] = {}

    def add(names: str, make: Any, *modules: str) -> None:
        for module in modules:
            for name in names.split():
                table[module, name] = Global(f"{module}.{name}", make)

    arrays = ("numpy.core.multiarray", "numpy._core.multiarray")
    add("_reconstruct", PickledArray, *arrays)
    add("scalar", _scalar, *arrays)
    add("_frombuffer", PickledArray.from_buffer, "numpy.core.numeric", "numpy._core.numeric")
    add("ndarray", None, "numpy")
    add("dtype", PickledType, "numpy")
    add("OrderedDict", _dictionary, "collections")
    add("defaultdict", lambda *_: {}, "collections")
    add("encode", _encode, "_codecs")
    add("Namespace", Record, "argparse")
    add("_reconstructor", _reconstructor, "copyreg", "copy_reg")
    python = ("builtins", "__builtin__")
    add("object int float str unicode bool long tuple", None, *python)
    add("list dict", None, *python)
    add("set frozenset", _items, *python)
    add("bytes bytearray", _bytes, *python)
    return table


PLAIN = _table()
