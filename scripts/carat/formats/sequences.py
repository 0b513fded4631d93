"""The sequences of one modality in one split, read some samples at a time.

Shapes: N samples, T steps, F features. Wherever they come from, `read` gives [n, T, F] float32 with padding at the
end, and the number of steps of each sample that are not padding.
"""
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from ..errors import FormatError
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
    # How many are read; sequences that have more are cut.
    features: int
    # Whether some sequences are shorter than `steps` and the source knows how long they are.
    ragged: bool

    def lengths(self) -> np.ndarray:
        """[N] steps that are not padding, as far as the source knows."""
        raise NotImplementedError

    def widths(self) -> np.ndarray:
        """[N] features that each sequence has; 0 if it has no step."""
        return np.full(self.count, self.features)

    def edges(self) -> Optional[np.ndarray]:
        """[N, 2] whether the first and the last of all T steps have a value other than 0; None where no sequence is
        padded, or nothing says how long it is."""
        return None

    def read(self, start: int, stop: int, steps: int) -> Portion:
        """Samples `start` to `stop`, padded or cut to `steps`."""
        raise NotImplementedError


def as_float32(values: np.ndarray) -> np.ndarray:
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

    def widths(self) -> np.ndarray:
        return np.full(self.count, self._array.shape[2])

    def edges(self) -> Optional[np.ndarray]:
        if self._lengths is None:
            return None
        return np.stack([(self._array[:, step] != 0).any(1) for step in (0, -1)], 1)

    def lengths(self) -> np.ndarray:
        return np.full(self.count, self.steps) if self._lengths is None else self._lengths

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = as_float32(self._array[start:stop, :steps, :self.features])
        if self.steps < steps:
            part = np.pad(part, ((0, 0), (0, steps - self.steps), (0, 0)))
        return Portion(part, np.minimum(self.lengths()[start:stop], steps))


class RaggedSequences(Sequences):
    """A list of N arrays [t, F], each of its own length; an array [F] is one step."""

    def __init__(self, items: Sequence[Any], path: str, what: str, lengths: Optional[np.ndarray] = None) -> None:
        self._items, self._path, self._what = items, path, what
        shapes = [self._shape(item) for item in items]
        if all(shape[0] <= 1 for shape in shapes) and len({shape[1] for shape in shapes if shape[0]}) > 2:
            raise FormatError(path, f"sequences of '{what}' of shape [T, F]",
                              "rows [T] of different lengths, as numbers of words are",
                              "give vectors of features, or say which field has them with --keys")
        self._widths = np.array([shape[1] if shape[0] else 0 for shape in shapes])
        self.features = int(self._widths.max())
        if any(shape[0] and not shape[1] for shape in shapes) or self.features == 0:
            raise FormatError(path, f"sequences of '{what}' with features", "one without", _REMEDY)
        self.count = len(shapes)
        own = np.array([shape[0] for shape in shapes])
        self.steps = int(max(own.max(), 1))
        if lengths is not None and lengths.shape != own.shape:
            raise FormatError(path, f"a length for each of {len(own)} samples of {what}", f"{lengths.shape}", _REMEDY)
        self._lengths = own if lengths is None else np.minimum(own, lengths)
        self._padded = lengths is not None and bool((own == self.steps).all())
        self.ragged = self._padded or bool((self._lengths < self.steps).any())

    def lengths(self) -> np.ndarray:
        return self._lengths

    def widths(self) -> np.ndarray:
        return self._widths

    def edges(self) -> Optional[np.ndarray]:
        if not self._padded:
            return None
        return np.array([[(array[0] != 0).any(), (array[-1] != 0).any()] for array in map(self._array, self._items)])

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = np.zeros((stop - start, steps, self.features), np.float32)
        for row, item in zip(part, self._items[start:stop]):
            sequence = self._array(item)[:steps]
            if len(sequence):
                row[:len(sequence)] = as_float32(sequence[:, :self.features])
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


class Wrapped(Sequences):
    """Sequences made of others."""

    def __init__(self, inner: Sequences) -> None:
        self._inner = inner
        self.count, self.steps, self.ragged = inner.count, inner.steps, inner.ragged

    @property
    def features(self) -> int:                                               # type: ignore[override]
        return self._inner.features

    @features.setter
    def features(self, value: int) -> None:
        self._inner.features = value

    def lengths(self) -> np.ndarray:
        return self._inner.lengths()

    def widths(self) -> np.ndarray:
        return self._inner.widths()


class Selection(Wrapped):
    """Some of the sequences, in ascending order."""

    def __init__(self, inner: Sequences, rows: np.ndarray) -> None:
        super().__init__(inner)
        self._rows, self.count = rows, len(rows)

    def lengths(self) -> np.ndarray:
        return self._inner.lengths()[self._rows]

    def widths(self) -> np.ndarray:
        return self._inner.widths()[self._rows]

    def edges(self) -> Optional[np.ndarray]:
        edges = self._inner.edges()
        return None if edges is None else edges[self._rows]

    def read(self, start: int, stop: int, steps: int) -> Portion:
        rows = self._rows[start:stop]
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)        # what lies side by side is read at once
        parts = [self._inner.read(int(run[0]), int(run[-1]) + 1, steps) for run in runs]
        return Portion(np.concatenate([p.features for p in parts]), np.concatenate([p.lengths for p in parts]))


class FrontPadded(Wrapped):
    """Sequences whose padding comes first; it is moved behind the steps. The padding has to be `zeros`, or may be anything
    where the file itself marks it."""

    def __init__(self, inner: Sequences, path: str, what: str, zeros: bool = True) -> None:
        super().__init__(inner)
        self._path, self._what, self._zeros = path, what, zeros

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part, lengths = self._inner.read(start, stop, self.steps)
        lengths = np.clip(lengths, 0, self.steps)
        moved = np.zeros((stop - start, steps, self.features), np.float32)
        for i, (row, padded, length) in enumerate(zip(moved, part, lengths)):
            padding = self.steps - int(length)
            if self._zeros and (padded[:padding] != 0).any():
                raise FormatError(self._path, f"{padding} steps of zeros before the {length} steps of '{self._what}', as in "
                                  "other samples", f"values in row {start + i}", "check the lengths, or say --padding end")
            kept = padded[padding:][:steps]
            row[:len(kept)] = kept
        return Portion(moved, np.minimum(lengths, steps))


def sequences_of(value: Any, path: str, what: str, lengths: Optional[np.ndarray] = None) -> Sequences:
    """The sequences that a file holds as one array or as a list of arrays."""
    array = as_array(value, path, what)
    if array.ndim == 0 or len(array) == 0:
        raise FormatError(path, f"samples of '{what}'", "none", _REMEDY)
    if array.dtype != object:
        return DenseSequences(array, path, what, lengths)
    return RaggedSequences(list(array.reshape(len(array), -1)[:, 0]) if array.ndim > 1 and array.shape[1] == 1
                           else list(array), path, what, lengths)
