"""The sequences of one modality in one split, read some samples at a time.

Shapes: N samples, T steps, F features. Wherever they come from, `read` gives [n, T, F] float32 with padding at the
end, the number of steps of each sample that are not padding, and how many were cut off.
"""
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from .errors import FormatError
from .values import as_array, as_numbers

_REMEDY = "check what wrote the file"


class Portion(NamedTuple):
    """Some samples in their order."""
    features: np.ndarray                                                     # [n, T, F] float32
    lengths: np.ndarray                                                      # [n]


class Sequences:
    """N sequences of F features; `steps` is the length of the longest, or of all with their padding."""

    count: int
    steps: int
    features: int
    # Whether some sequences are shorter than `steps` and the source knows how long they are.
    ragged: bool

    def lengths(self) -> np.ndarray:
        """[N] steps that are not padding, as far as the source knows."""
        raise NotImplementedError

    def read(self, start: int, stop: int, steps: int) -> Portion:
        """Samples `start` to `stop`, padded or cut to `steps`."""
        raise NotImplementedError


def _as_float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):                       # what is too large becomes an infinity
        return np.asarray(values, np.float32)


class DenseSequences(Sequences):
    """One array [N, T, F]; an array [N, F] is N sequences of one step."""

    def __init__(self, array: np.ndarray, path: str, what: str, lengths: Optional[np.ndarray] = None) -> None:
        if array.ndim == 2:
            array = array[:, None, :]
        if array.ndim != 3 or array.dtype.kind not in "fiub" or 0 in array.shape[1:]:
            raise FormatError(path, f"'{what}' of shape [N, T, F]", f"{array.dtype} {array.shape}", _REMEDY)
        if lengths is not None and lengths.shape != (len(array),):
            raise FormatError(path, f"a length for each of {len(array)} samples of {what}", f"{lengths.shape}", _REMEDY)
        self._array, self._lengths = array, lengths
        self.count, self.steps, self.features = array.shape
        self.ragged = lengths is not None

    def lengths(self) -> np.ndarray:
        return np.full(self.count, self.steps) if self._lengths is None else self._lengths

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = _as_float32(self._array[start:stop, :steps])
        if self.steps < steps:
            part = np.pad(part, ((0, 0), (0, steps - self.steps), (0, 0)))
        return Portion(part, np.minimum(self.lengths()[start:stop], steps))


class RaggedSequences(Sequences):
    """A list of N arrays [t, F], each of its own length; an array [F] is one step."""

    def __init__(self, items: Sequence[Any], path: str, what: str, lengths: Optional[np.ndarray] = None) -> None:
        self._items, self._path, self._what = items, path, what
        shapes = [self._shape(item) for item in items]
        widths = sorted({shape[1] for shape in shapes if shape[0]})
        if len(widths) != 1 or widths[0] == 0:
            raise FormatError(path, f"sequences of '{what}' with one number of features", f"{widths[:8]}", _REMEDY)
        self.features = widths[0]
        self.count = len(shapes)
        own = np.array([shape[0] for shape in shapes])
        self.steps = int(max(own.max(), 1))
        if lengths is not None and lengths.shape != own.shape:
            raise FormatError(path, f"a length for each of {len(own)} samples of {what}", f"{lengths.shape}", _REMEDY)
        self._lengths = own if lengths is None else np.minimum(own, lengths)
        self.ragged = bool((self._lengths < self.steps).any())

    def lengths(self) -> np.ndarray:
        return self._lengths

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = np.zeros((stop - start, steps, self.features), np.float32)
        for row, item in zip(part, self._items[start:stop]):
            sequence = self._array(item)[:steps]
            if len(sequence):
                row[:len(sequence)] = _as_float32(sequence)
        return Portion(part, np.minimum(self._lengths[start:stop], steps))

    def _shape(self, item: Any) -> Any:
        shape = getattr(item, "shape", None)
        if shape is None or len(shape) not in (1, 2):
            shape = self._array(item).shape
        return shape if len(shape) == 2 else (0, 0) if shape == (0,) else (1, *shape)

    def _array(self, item: Any) -> np.ndarray:
        array = as_array(item, self._path, self._what)
        if array.dtype == object:                                            # rows, or numbers, as objects
            array = as_numbers(list(array), self._path, self._what)
        if array.ndim == 1:
            array = array[None, :] if array.size else array.reshape(0, 0)
        if array.ndim != 2 or array.dtype.kind not in "fiub":
            raise FormatError(self._path, f"sequences of '{self._what}' of shape [T, F]",
                              f"{array.dtype} {array.shape}", _REMEDY)
        return array


def sequences_of(value: Any, path: str, what: str, lengths: Optional[np.ndarray] = None) -> Sequences:
    """The sequences that a file holds as one array or as a list of arrays."""
    array = as_array(value, path, what)
    if len(array) == 0:
        raise FormatError(path, f"samples of '{what}'", "none", _REMEDY)
    if array.dtype != object:
        return DenseSequences(array, path, what, lengths)
    return RaggedSequences(list(array.reshape(len(array), -1)[:, 0]) if array.ndim > 1 and array.shape[1] == 1
                           else list(array), path, what, lengths)
