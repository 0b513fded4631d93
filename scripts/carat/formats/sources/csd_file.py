"""A computational sequence of the CMU Multimodal SDK (.csd, HDF5).

In a file, `<root>/data/<name>/features` [n, F] and `intervals` [n, 2] in seconds. The name is a video; or after the SDK's
own alignment a segment or a word, `video[3]`."""
import json
from collections import Counter
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np

from ...errors import FormatError
from ...program import need
from ..mapped import refuse_stand_in
from ..sample_ids import parts, video_of


class CsdFile:
    """One computational sequence, by names. `join` takes all segments or words of a video for the video's steps.

    Steps come in the order of time, whatever their order in the file."""

    def __init__(self, path: str) -> None:
        need("h5py")
        import h5py
        refuse_stand_in(path)
        self.path = path
        try:
            self._file = h5py.File(path, "r")
            roots = [k for k in self._file if isinstance(self._file[k], h5py.Group) and "data" in self._file[k]]
            if len(roots) != 1:
                raise ValueError(f"{len(roots)} sequences")
            self.root = roots[0]
            self._data = self._file[self.root]["data"]
            self._entries = {name: [name] for name in self._data}
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise FormatError(path, "a computational sequence (HDF5) with <root>/data", str(error), "fetch the file again")
        # Names whose steps were not in the order of time.
        self.disordered: Set[str] = set()
        self._last: Dict[str, Tuple[str, Any]] = {}
        # Opening what HDF5 holds is slow, and words are many: what is small is kept.
        self._shapes: Dict[str, Tuple[int, int]] = {}
        # Features that steps are cut to, if they are.
        self._width: Optional[int] = None
        self._times: Dict[str, np.ndarray] = {}

    @property
    def names(self) -> List[str]:
        return list(self._entries)

    @property
    def by_clip(self) -> bool:
        """Whether all names are of parts of videos, `video[3]`."""
        return all(parts(name)[1] is not None for name in self._entries)

    def join(self, mixed: Optional[str]) -> Optional[str]:
        """- Parameter `mixed`: what becomes of parts of a video with another number of features than the others: they are left out
        (`leave-out`), or all are `cut` to the fewest. What was done, in words, if anything was.
        - Throws: FormatError if there are such parts, and nothing is said of them."""
        entries: Dict[str, List[str]] = {}
        for name in sorted(self._entries, key=lambda name: parts(name)[1] or 0):
            entries.setdefault(video_of(name), []).append(name)
        self._entries = entries
        self._last.clear()
        mingled = [video for video, names in entries.items() if len({self._shape(name)[1] for name in names}) > 1]
        if not mingled:
            return None
        counts = Counter(self._shape(name)[1] for names in entries.values() for name in names)
        found = ", ".join(f"{width} in {count} parts" for width, count in counts.most_common())
        if mixed is None:
            raise FormatError(self.path, f"one number of features in the parts of '{mingled[0]}'", found,
                              "leave those parts out or cut all to the fewest: --mixed-features leave-out|cut")
        if mixed == "cut":
            self._width = min(counts)
            return f"number of features: {found}; all cut to the first {self._width}"
        usual = counts.most_common(1)[0][0]
        kept = {video: [n for n in names if self._shape(n)[1] == usual] for video, names in entries.items()}
        self._entries = {video: names for video, names in kept.items() if names}
        return f"number of features: {found}; the {sum(counts.values()) - counts[usual]} parts without {usual} are left out"

    def dimension_names(self) -> Optional[List[str]]:
        """What the file calls its columns, in small letters, if it does."""
        try:
            value = self._file[self.root]["metadata"]["dimension names"][()]
            value = np.asarray(value).reshape(-1)[0]
            names = json.loads(value if isinstance(value, str) else bytes(value).decode("utf-8"))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, RuntimeError):
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) and not name.isdigit() for name in names):
            return None
        return [name.strip().lower() for name in names]

    def intervals(self, name: str) -> np.ndarray:
        """[n, 2] start and end of each step in seconds, in their order."""
        if self._last.get("intervals", ("",))[0] != name:
            array = self._together(name, "intervals").astype(np.float64)
            if array.shape[1] != 2:
                raise self._bad(f"intervals of '{name}' [n, 2]", f"{array.shape}")
            wrong = ~np.isfinite(array).all(1) | (array[:, 1] < array[:, 0])
            if wrong.any():
                row = int(np.argmax(wrong))
                raise self._bad(f"intervals of '{name}' from start to end",
                                f"{array[row, 0]:g} to {array[row, 1]:g} in row {row}")
            order = np.argsort(array[:, 0], kind="stable")
            if (np.diff(order) != 1).any():
                self.disordered.add(name)
            self._last["intervals"] = (name, (array[order], order))
        return self._last["intervals"][1][0]

    def order(self, name: str) -> np.ndarray:
        """[n] where in the file each step is."""
        self.intervals(name)
        return self._last["intervals"][1][1]

    def shape(self, name: str) -> Tuple[int, int]:
        """Steps and features under a name."""
        shapes = [self._shape(entry) for entry in self._entries[name]]
        if self._width is not None:
            return sum(shape[0] for shape in shapes), self._width
        if len({shape[1] for shape in shapes}) != 1:
            raise self._bad(f"one number of features in '{name}'", ", ".join(sorted({str(shape[1]) for shape in shapes})))
        return sum(shape[0] for shape in shapes), shapes[0][1]

    def count(self, name: str) -> int:
        """How many steps there are under a name.

        - Throws: FormatError if there are not as many intervals."""
        steps, intervals = self.shape(name)[0], len(self.intervals(name))
        if steps != intervals:
            raise self._bad(f"an interval for each of {steps} steps of '{name}'", f"{intervals}")
        return steps

    def _shape(self, entry: str) -> Tuple[int, int]:
        if entry in self._shapes:
            return self._shapes[entry]
        try:
            shape = self._data[f"{entry}/features"].shape
        except (KeyError, AttributeError, OSError, RuntimeError) as error:
            raise self._bad(f"features of '{entry}'", str(error))
        if len(shape) != 2 or not shape[1]:
            raise self._bad(f"features of '{entry}' [n, F]", f"{shape}")
        self._shapes[entry] = shape
        return shape

    def features(self, name: str) -> np.ndarray:
        """[n, F]; the last ones read are kept, for segments of a video follow each other."""
        if self._last.get("features", ("",))[0] != name:
            self.count(name)
            array, order = self._together(name, "features"), self.order(name)
            self._last["features"] = (name, array[order] if (np.diff(order) != 1).any() else array)
        return self._last["features"][1]

    def _together(self, name: str, what: str) -> np.ndarray:
        arrays = [self._read(entry, what) for entry in self._entries[name]]
        if what == "features" and self._width is not None:
            arrays = [array[:, :self._width] for array in arrays]
        try:
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        except ValueError as error:
            raise self._bad(f"{what} of '{name}' alike", str(error))

    def _read(self, entry: str, what: str) -> np.ndarray:
        if what == "intervals" and entry in self._times:
            return self._times[entry]
        try:
            array = self._data[f"{entry}/{what}"][()]
        except (KeyError, OSError, RuntimeError, AttributeError, TypeError, MemoryError) as error:
            raise self._bad(f"{what} of '{entry}'", str(error))
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != 2:
            raise self._bad(f"{what} of '{entry}' as numbers [n, …]", "others")
        if what == "intervals" and len(array) == 1:
            self._times[entry] = array
        return array

    def _bad(self, expected: str, found: str) -> FormatError:
        return FormatError(self.path, expected, found, "fetch the file again")
