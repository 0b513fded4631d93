"""The names of Python and NumPy that a pickle may use, and what stands for them here: arrays as views of the mapped file.

NumPy's own functions are not among them. A state of `numpy.dtype` can make numbers of the file into addresses of objects.
"""
import re
from typing import Any, Dict, Tuple

import numpy as np

from .unpickle import Global, LongText, Record, raw_bytes

_TYPE_NAME = re.compile(r"[<>|=]?[fiubSUO]\d{0,6}")


class _Type:
    """A NumPy dtype until its state is known: one number an element, a string, or an object."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _TYPE_NAME.fullmatch(code):
            raise ValueError(f"elements of type {code}")
        try:
            self._type = np.dtype(object if "O" in code else code)
        except TypeError:                                                    # such as f3
            raise ValueError(f"elements of type {code}")

    def set_state(self, state: Any) -> np.dtype:
        if len(state) > 4 and (state[2] is not None or state[4]):
            raise ValueError("an element type of several fields")
        return self._type.newbyteorder(state[1]) if state[1] in ("<", ">", "=") else self._type


class _Array:
    """A NumPy array until its state is known."""

    def __init__(self, *_: Any) -> None:
        pass

    def set_state(self, state: Any) -> np.ndarray:
        shape, dtype, fortran, content = state[-4:]
        return _array(content, dtype, shape, "F" if fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """A view of the elements where they lie; of objects an array of the list. What is no shape, or not that of the content,
    NumPy says."""
    if not isinstance(dtype, np.dtype) or order not in ("C", "F"):
        raise ValueError("an array without a type")
    if min(shape, default=0) < 0:                                            # −1 would be what fits
        raise ValueError(f"an array of shape {shape}")
    if dtype == np.dtype(object):
        if not isinstance(content, list):
            raise ValueError("objects without a list")
        array = np.empty(len(content), object)
        array[:] = content
    else:
        data = raw_bytes(content)
        array = np.frombuffer(data, dtype) if len(data) else np.empty(0, dtype)
    return array.reshape(shape, order=order)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    """One number of NumPy, as one of Python."""
    return _array(content, dtype, (), "C").item() if len(raw_bytes(content)) else ""


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
    add("_reconstruct", _Array, *arrays)
    add("scalar", _scalar, *arrays)
    add("_frombuffer", _array, "numpy.core.numeric", "numpy._core.numeric")  # protocol 5
    add("ndarray", None, "numpy")
    add("dtype", _Type, "numpy")
    add("OrderedDict defaultdict", lambda *items: {}, "collections")
    add("encode", _encode, "_codecs")
    add("Namespace", Record, "argparse")
    add("_reconstructor", _reconstructor, "copyreg", "copy_reg")
    python = ("builtins", "__builtin__")
    add("object int float str unicode bool long tuple list dict", None, *python)
    add("set frozenset", _items, *python)
    add("bytes bytearray", _bytes, *python)
    return table


PLAIN = _table()
