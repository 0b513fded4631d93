"""Computational sequences of the CMU Multimodal SDK (.csd, HDF5): one file a modality and one with the labels.

In a file, `<root>/data/<name>/features` [n, F] and `intervals` [n, 2] in seconds. The name is a video, or after the SDK's
own alignment a segment, `video[3]`. The labels of a video are its segments, each with its interval.
"""
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..dataset import MODALITIES, SPLITS, Options, SourceDataset, SourceSplit
from ..errors import MISSING_PACKAGE, FormatError, OutputError, UsageError
from ..labels import NamedLabels, canonical_name, from_intensities, video_of
from ..sequences import Portion, Sequences, _as_float32
from . import folds

# Parts of the names that the SDK gives its sequences.
_ROLES = {
    "labels": ("label",),
    "text": ("wordvector", "glove", "bert", "text"),
    "visual": ("facet", "openface", "visual", "openfac", "densenet"),
    "audio": ("covarep", "coavarep", "opensmile", "acoustic", "audio"),
}
# Steps that longer segments are cut to if nobody says otherwise: the released code's for unaligned data, and for words.
UNALIGNED_STEPS = (50, 500, 500)
ALIGNED_STEPS = (60, 60, 60)


class Piece(NamedTuple):
    """One sample: a name in the file, and the steps from `start` to `stop`."""
    name: str
    start: int
    stop: int


class CsdFile:
    """One computational sequence."""

    def __init__(self, path: str) -> None:
        h5py = _h5py()
        self.path = path
        try:
            self._file = h5py.File(path, "r")
            roots = [k for k in self._file if isinstance(self._file[k], h5py.Group) and "data" in self._file[k]]
            if len(roots) != 1:
                raise ValueError(f"{len(roots)} sequences")
            self.root = roots[0]
            self._data = self._file[self.root]["data"]
            self.names = list(self._data)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise FormatError(path, "a computational sequence (HDF5) with <root>/data", str(error), "fetch the file again")
        self._last: Tuple[str, Any] = ("", None)

    def intervals(self, name: str) -> np.ndarray:
        """[n, 2] start and end of each step in seconds."""
        array = self._read(name, "intervals")
        if array.ndim != 2 or array.shape[1] != 2:
            raise self._bad(f"intervals of '{name}' [n, 2]", f"{array.shape}")
        return array.astype(np.float64)

    def shape(self, name: str) -> Tuple[int, int]:
        """Steps and features under a name."""
        try:
            shape = self._data[name]["features"].shape
        except (KeyError, AttributeError, OSError, RuntimeError) as error:
            raise self._bad(f"features of '{name}'", str(error))
        if len(shape) != 2 or not shape[1]:
            raise self._bad(f"features of '{name}' [n, F]", f"{shape}")
        return shape

    def features(self, name: str) -> np.ndarray:
        """[n, F]; the last one read is kept, for segments of a video follow each other."""
        if self._last[0] != name:
            self._last = (name, self._read(name, "features"))
        return self._last[1]

    def _read(self, name: str, what: str) -> np.ndarray:
        try:
            array = self._data[name][what][()]
        except (KeyError, OSError, RuntimeError, AttributeError, TypeError, MemoryError) as error:
            raise self._bad(f"{what} of '{name}'", str(error))
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise self._bad(f"{what} of '{name}' as numbers", "others")
        return array

    def _bad(self, expected: str, found: str) -> FormatError:
        return FormatError(self.path, expected, found, "fetch the file again")


class SegmentSequences(Sequences):
    """Pieces of a computational sequence, as they are."""

    def __init__(self, file: CsdFile, pieces: List[Piece]) -> None:
        self._file, self._pieces = file, pieces
        self.count = len(pieces)
        self._lengths = np.array([p.stop - p.start for p in pieces])
        self.steps = int(self._lengths.max())
        self.features = file.shape(pieces[0].name)[1]
        self.ragged = bool((self._lengths < self.steps).any())

    def lengths(self) -> np.ndarray:
        return self._lengths

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = np.zeros((stop - start, steps, self.features), np.float32)
        for row, piece in zip(part, self._pieces[start:stop]):
            values = self._values(piece)[:steps]
            if values.shape[1:] != (self.features,):
                raise FormatError(self._file.path, f"{self.features} features", f"{values.shape} in '{piece.name}'",
                                  "fetch the file again")
            row[:len(values)] = _as_float32(values)
        return Portion(part, np.minimum(self._lengths[start:stop], steps))

    def _values(self, piece: Piece) -> np.ndarray:
        return self._file.features(piece.name)[piece.start:piece.stop]


class WordSequences(SegmentSequences):
    """Pieces of another modality's, one step a word: the mean of the steps that overlap the word; 0 where none does."""

    def __init__(self, file: CsdFile, pieces: List[Piece], words: CsdFile) -> None:
        super().__init__(file, pieces)
        self._words = words

    def _values(self, piece: Piece) -> np.ndarray:
        spans = self._words.intervals(piece.name)[piece.start:piece.stop]
        features, times = self._file.features(piece.name), self._file.intervals(piece.name)
        out = np.zeros((len(spans), features.shape[1]), np.float64)
        for row, (start, end) in zip(out, spans):
            overlapping = features[(times[:, 1] > start) & (times[:, 0] < end)]
            if len(overlapping):
                row[:] = np.where(np.isfinite(overlapping), overlapping, 0).mean(0)
        return out


def label_rows(file: CsdFile, options: Options) -> Tuple[Dict[str, np.ndarray], List[str]]:
    """Labels [C] by segment name."""
    names, rows = [], []
    for name in file.names:
        features = file.features(name)
        for i, row in enumerate(features):
            names.append(canonical_name(name) if len(features) == 1 and video_of(name) != name else f"{name}[{i}]")
            rows.append(row)
    if len({len(row) for row in rows}) != 1:
        raise FormatError(file.path, "labels with one number of columns", "others", "fetch the file again")
    labels, label_names = from_intensities(np.stack(rows), options.label_names, options.threshold, file.path,
                                            sentiment_first=True)
    return dict(zip(names, labels)), label_names


def named_labels(path: str, options: Options) -> NamedLabels:
    """Labels for another source's samples, by name."""
    rows, names = label_rows(CsdFile(path), options)
    return NamedLabels(rows, names, path)


def open_source(paths: List[str], options: Options) -> SourceDataset:
    files = _by_role(paths, options)
    if options.folds is None:
        raise UsageError("computational sequences do not say which video is for training: give --folds")
    split_of = folds.read(options.folds)
    rows, label_names = label_rows(files["labels"], options)
    by_segment = all(video_of(name) != name for m in MODALITIES for name in files[m].names)
    pieces, labels, notes = _pieces(files, rows, split_of, by_segment, options.align == "words")
    splits: Dict[str, SourceSplit] = {}
    for split in SPLITS:
        if not labels[split]:
            raise FormatError(files["labels"].path, f"segments of split {split}", "none whose video the folds name",
                              "check the names in the folds")
        modalities: Dict[str, Sequences] = {}
        for m in MODALITIES:
            words = options.align == "words" and m != "text" and not by_segment
            modalities[m] = (WordSequences(files[m], pieces[split][m], files["text"]) if words
                             else SegmentSequences(files[m], pieces[split][m]))
        splits[split] = SourceSplit(modalities, np.stack(labels[split]))
    steps = ALIGNED_STEPS if options.align == "words" or by_segment else UNALIGNED_STEPS
    return SourceDataset("csd", files["labels"].path, label_names, splits, default_steps=steps, notes=notes)


def _pieces(files: Dict[str, CsdFile], rows: Dict[str, np.ndarray], split_of: Dict[str, str], by_segment: bool,
            words: bool) -> Tuple[Dict[str, Dict[str, List[Piece]]], Dict[str, List[np.ndarray]], List[str]]:
    """The samples of each split: a piece of every modality, and labels."""
    pieces: Dict[str, Dict[str, List[Piece]]] = {s: {m: [] for m in MODALITIES} for s in SPLITS}
    labels: Dict[str, List[np.ndarray]] = {s: [] for s in SPLITS}
    strangers = empty = 0
    intervals: Tuple[str, Dict[str, np.ndarray]] = ("", {})
    names = {m: set(files[m].names) for m in MODALITIES}
    spans = _label_spans(files["labels"]) if not by_segment else {}
    for segment, row in rows.items():
        video = video_of(segment)
        split = split_of.get(video)
        if split is None:
            strangers += 1
            continue
        found: Dict[str, Optional[Piece]] = {}
        if by_segment:
            for m in MODALITIES:
                found[m] = Piece(segment, 0, files[m].shape(segment)[0]) if segment in names[m] else None
        else:
            if intervals[0] != video:
                intervals = (video, {m: files[m].intervals(video) for m in MODALITIES if video in names[m]})
            for m in MODALITIES:
                found[m] = _overlap(video, intervals[1].get(m), spans[segment])
            if words and found["text"] is not None:
                found = {m: found["text"] if m == "text" or video in names[m] else None for m in MODALITIES}
        if any(p is None or p.stop <= p.start for p in found.values()):
            empty += 1
            continue
        for m, piece in found.items():
            assert piece is not None
            pieces[split][m].append(piece)
        labels[split].append(row)
    notes = [f"{n} segments left out: {why}" for n, why in (
        (strangers, "the folds do not name their video"), (empty, "a modality has no step in them")) if n]
    return pieces, labels, notes


def _label_spans(file: CsdFile) -> Dict[str, Tuple[float, float]]:
    """Start and end of every labelled segment."""
    spans = {}
    for name in file.names:
        for i, (start, end) in enumerate(file.intervals(name)):
            key = canonical_name(name) if video_of(name) != name else f"{name}[{i}]"
            spans[key] = (float(start), float(end))
    return spans


def _overlap(name: str, intervals: Optional[np.ndarray], span: Tuple[float, float]) -> Optional[Piece]:
    """The steps that overlap a segment; they follow each other, for steps are in the order of time."""
    if intervals is None:
        return None
    inside = np.flatnonzero((intervals[:, 1] > span[0]) & (intervals[:, 0] < span[1]))
    return Piece(name, int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def _by_role(paths: List[str], options: Options) -> Dict[str, CsdFile]:
    """Which file is text, visual, audio and labels: as the options say, or by the names of the sequences."""
    files = {role: CsdFile(path) for role, path in options.roles.items()}
    for path in _expand(paths):
        if any(os.path.samefile(path, f.path) for f in files.values()):
            continue
        file = CsdFile(path)
        title = (file.root + " " + os.path.basename(path)).lower().replace("_", "").replace(" ", "")
        role = next((r for r, parts in _ROLES.items() if any(p in title for p in parts)), None)
        if role is None:
            continue
        if role in files:
            if role in options.roles:
                continue
            raise UsageError(f"both {files[role].path} and {path} may be {role}: say which with --{role}-csd")
        files[role] = file
    for role in _ROLES:
        if role not in files:
            raise UsageError(f"no computational sequence for {role} found: name it with --{role}-csd")
    return files


def _expand(paths: List[str]) -> List[str]:
    out: List[str] = []
    for path in paths:
        if os.path.isdir(path):
            out += sorted(os.path.join(path, f) for f in os.listdir(path) if f.endswith(".csd"))
        else:
            out.append(path)
    return out


def _h5py() -> Any:
    try:
        import h5py
        return h5py
    except ImportError:
        raise OutputError("reading .csd files needs h5py: install the package python3-h5py, or pip install h5py",
                          MISSING_PACKAGE)
