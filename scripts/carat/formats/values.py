"""What files hold, whatever wrote it, as NumPy arrays and Python lists."""
from typing import Any, List

import numpy as np

from ..errors import FormatError

_REMEDY = "check what wrote the file"
_NUMBERS = (int, float, np.number, np.bool_)


def as_array(value: Any, path: str, what: str) -> np.ndarray:
    """An array, a view where possible; lists of numbers or of equal arrays become one array, others one of objects."""
    try:
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, _NUMBERS):
            return np.asarray(value)
        if isinstance(value, (list, tuple)):
            if all(isinstance(v, _NUMBERS) for v in value):
                return np.asarray(value)
            array = np.empty(len(value), object)
            array[:] = list(value)
            return array
    except ValueError as error:
        raise FormatError(path, f"'{what}' to be an array", str(error), _REMEDY)
    raise FormatError(path, f"'{what}' to be an array", type(value).__name__, _REMEDY)


def as_numbers(value: Any, path: str, what: str) -> np.ndarray:
    """A small array of numbers, such as labels: rows that are lists or arrays are put together."""
    array = as_array(value, path, what)
    if array.dtype == object:
        rows = [as_array(row, path, what) for row in array]
        rows = [as_numbers(row, path, what) if row.dtype == object else row for row in rows]
        if rows and all(r.dtype != object and r.shape == rows[0].shape for r in rows):
            array = np.stack(rows)
    if array.dtype.kind not in "fiub":
        raise FormatError(path, f"'{what}' to be numbers", f"elements of {array.dtype}", _REMEDY)
    return array


def as_items(value: Any, path: str, what: str) -> List[Any]:
    """The items of a list or of an array along its first dimension."""
    if isinstance(value, (list, tuple)):
        return list(value)
    array = as_array(value, path, what)
    if array.ndim == 0:
        raise FormatError(path, f"'{what}' to be a list", "one value", _REMEDY)
    return list(array)


def shape_text(value: Any) -> str:
    """A field in few words, for messages: its shape or kind."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return "[" + ", ".join(map(str, shape)) + "]"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, (list, tuple, dict)) else type(value).__name__
