"""A data set of computational sequences: one file a modality and one with the labels, whose intervals are the segments.

A segment's steps are those that overlap its interval in time. Only where files are aligned to the labels already, and say
so by names and intervals, or have no intervals, are they found by name."""
import os
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from ...errors import FormatError, Problems, UsageError
from ..dataset import ALL, SPLITS, Options, SourceDataset, SourceSplit
from ..pairing import LabelTable
from ..sample_ids import video_of
from ..sequences import Portion, Sequences, as_float32
from . import csd_labels, folds
from .csd_file import CsdFile

# Parts of the names that the SDK gives its sequences.
_ROLES = {
    "labels": ("label",),
    "text": ("wordvector", "glove", "bert", "text"),
    "visual": ("facet", "openface", "visual", "openfac", "densenet"),
    "audio": ("covarep", "coavarep", "opensmile", "acoustic", "audio"),
}
# Steps that longer segments are cut to if nobody says otherwise: the released code's for unaligned data, and for words.
UNALIGNED_STEPS = {"text": 50, "visual": 500, "audio": 500}
ALIGNED_STEPS = 60
# Seconds of overlap that rounding makes.
_ROUNDING = 1e-4


class Piece(NamedTuple):
    """One sample: a name in the file, and which of its steps."""
    name: str
    steps: Union[slice, np.ndarray]
    length: int


class SegmentSequences(Sequences):
    """Pieces of a computational sequence, as they are."""

    def __init__(self, file: CsdFile, pieces: List[Piece]) -> None:
        self._file, self._pieces = file, pieces
        self.count = len(pieces)
        self._lengths = np.array([p.length for p in pieces])
        widths = {name: file.shape(name)[1] for name in {p.name for p in pieces}}
        self._widths = np.array([widths[p.name] for p in pieces])
        self.steps = int(self._lengths.max())
        self.features = int(self._widths.max())
        self.ragged = bool((self._lengths < self.steps).any())

    def lengths(self) -> np.ndarray:
        return self._lengths

    def widths(self) -> np.ndarray:
        return self._widths

    def read(self, start: int, stop: int, steps: int) -> Portion:
        part = np.zeros((stop - start, steps, self.features), np.float32)
        for row, piece in zip(part, self._pieces[start:stop]):
            values = self._values(piece)[:steps, :self.features]
            row[:len(values)] = as_float32(values)
        return Portion(part, np.minimum(self._lengths[start:stop], steps))

    def _values(self, piece: Piece) -> np.ndarray:
        return self._file.features(piece.name)[piece.steps]


class WordSequences(SegmentSequences):
    """Pieces of another modality's, one step a word: the mean of the steps that overlap the word; 0 where none does."""

    def __init__(self, file: CsdFile, pieces: List[Piece], words: CsdFile) -> None:
        super().__init__(file, pieces)
        self._words = words

    def _values(self, piece: Piece) -> np.ndarray:
        spans = self._words.intervals(piece.name)[piece.steps]
        features, times = self._file.features(piece.name), self._file.intervals(piece.name)
        out = np.zeros((len(spans), features.shape[1]), np.float64)
        for row, span in zip(out, spans):
            overlapping = features[_overlaps(times, span)]
            if len(overlapping):
                row[:] = np.where(np.isfinite(overlapping), overlapping, 0).mean(0)
        return out


def open_source(paths: List[str], options: Options) -> SourceDataset:
    if not options.one_file and (options.folds is None) == (options.split is None):
        raise UsageError("computational sequences do not say which video is for training: give --folds, or else --split")
    if options.labels is not None:
        raise UsageError("the labels of computational sequences have intervals: give a csd file, --keys labels=FILE")
    notes: List[str] = []
    files = _by_role(paths, options, notes)
    table = csd_labels.read(files.pop("labels"), options)
    names = next(iter(table.numberings.values()))
    notes += table.notes
    by_name = _named_as(files, names, table, notes)
    align = options.align == "words"
    if not by_name:
        align = _by_time(files, options, notes) or align
    if align and not by_name and "text" not in files:
        raise UsageError("--align words needs text, whose steps are the words")
    split_of = None if options.folds is None else folds.read(options.folds)
    pieces, rows = _pieces(files, names, table, split_of, by_name, align, notes)
    splits: Dict[str, SourceSplit] = {}
    for split, kept in rows.items():
        if not kept:
            raise FormatError(table.path, "segments with steps" + (f" in split {split}" if split_of else ""),
                              "; ".join(["none", *(note for note in notes if "left out" in note)]),
                              "check the names in the files and the folds")
        modalities: Dict[str, Sequences] = {
            m: (WordSequences(file, pieces[split][m], files["text"]) if align and not by_name and m != "text"
                else SegmentSequences(file, pieces[split][m])) for m, file in files.items()}
        ids = None if options.ids == "none" else [names[row] for row in kept]
        splits[split] = SourceSplit(modalities, table.labels.rows[kept], ids)
    for m, file in files.items():
        if file.disordered:
            notes.append(f"{m}: steps of {len(file.disordered)} videos were not in the order of time, and are put in it, such "
                         f"as '{min(file.disordered)}'")
    steps = {m: ALIGNED_STEPS if align or by_name else UNALIGNED_STEPS.get(m, 500) for m in files}
    return SourceDataset("csd", table.path, table.labels.names, splits, default_steps=steps, notes=notes)


def _named_as(files: Dict[str, CsdFile], names: List[str], table: LabelTable, notes: List[str]) -> bool:
    """Whether the files have the labels' segments under their names, at their times."""
    assert table.spans is not None
    if not all(file.by_clip for file in files.values()):
        return False
    untimed = 0
    misplaced: Optional[FormatError] = None
    for file in files.values():
        known, covered = set(file.names), []
        for name, span, place in zip(names, table.spans, table.places):
            if name not in known:
                continue
            times = file.intervals(name)
            if not times.any() or not span.any():
                untimed += 1
                continue
            start, end = float(times[:, 0].min()), float(times[:, 1].max())
            covered.append(max(min(end, span[1]) - max(start, span[0]), 0) / max(span[1] - span[0], _ROUNDING))
            if covered[-1] == 0 and misplaced is None:
                misplaced = FormatError(
                    file.path, f"steps of '{name}' within {span[0]:g} to {span[1]:g} s, as {table.path} has it in {place}",
                    f"{start:g} to {end:g} s", "use files of one alignment")
        if not covered and not untimed:
            return False
        if covered and np.median(covered) < 0.5:                             # words, or other segments
            return False
    if misplaced is not None:
        raise misplaced
    if untimed:
        notes.append(f"{untimed} pieces have no times: taken for the segments of their names")
    return True


def _by_time(files: Dict[str, CsdFile], options: Options, notes: List[str]) -> bool:
    """Makes all files sequences of videos. Whether they are aligned to words: the text has one step a name."""
    words = "text" in files and files["text"].by_clip and all(files["text"].shape(n)[0] == 1 for n in files["text"].names)
    for m, file in files.items():
        if not file.by_clip:
            continue
        starts: Dict[str, List[float]] = {}
        for name in file.names:
            starts.setdefault(video_of(name), []).extend(file.intervals(name)[:1, 0].tolist())
        again = next((v for v, times in starts.items() if len(times) > 1 and len(set(times)) == 1), None)
        if again is not None:
            raise FormatError(file.path, f"times of the parts of '{again}' within the video",
                              f"{len(starts[again])} parts that all start at {starts[again][0]:g} s, and names that are not "
                              "those of the labels' segments", "align it with the SDK to the labels, or keep the times")
        mixed = file.join(options.mixed_features)
        notes += [f"{m}: {mixed}"] if mixed else []
        notes.append(f"{m}: parts of videos ({'words' if words else 'segments'}), put into the labels' segments by their "
                     "times")
    return words


def _pieces(files: Dict[str, CsdFile], names: List[str], table: LabelTable, split_of: Optional[Dict[str, str]],
            by_name: bool, align: bool, notes: List[str]) -> Tuple[Dict[str, Dict[str, List[Piece]]], Dict[str, List[int]]]:
    """The samples of each split: a piece of every modality, and the row of the labels."""
    assert table.spans is not None
    splits = (ALL,) if split_of is None else SPLITS
    pieces: Dict[str, Dict[str, List[Piece]]] = {s: {m: [] for m in files} for s in splits}
    rows: Dict[str, List[int]] = {s: [] for s in splits}
    strangers = empty = 0
    known = {m: set(file.names) for m, file in files.items()}
    problems = Problems()
    # Steps under the names that were met; none of what is broken.
    counts: Dict[Tuple[str, str], Optional[int]] = {}
    for row, (segment, span) in enumerate(zip(names, table.spans)):
        video = video_of(segment)
        split = ALL if split_of is None else split_of.get(video)
        if split is None:
            strangers += 1
            continue
        found: Dict[str, Optional[Piece]] = {}
        for m, file in files.items():
            name = segment if by_name else video
            if name in known[m] and (m, name) not in counts:
                counts[m, name] = None
                with problems.collected():
                    counts[m, name] = file.count(name)
            count = counts.get((m, name))
            if count is None:
                found[m] = None
            else:
                found[m] = Piece(name, slice(0, count), count) if by_name else _overlap(name, file.intervals(name), span)
        if align and not by_name and found["text"] is not None:
            found = {m: found["text"] if video in known[m] else None for m in files}
        if any(piece is None or not piece.length for piece in found.values()):
            empty += 1
            continue
        for m, piece in found.items():
            assert piece is not None
            pieces[split][m].append(piece)
        rows[split].append(row)
    problems.tell()
    notes += [f"{n} segments left out: {why}" for n, why in (
        (strangers, "the folds do not name their video"), (empty, "a modality has no step in them")) if n]
    return pieces, rows


def _overlaps(times: np.ndarray, span: np.ndarray) -> np.ndarray:
    """[n] which steps share time with a span."""
    return (times[:, 1] - _ROUNDING > span[0]) & (times[:, 0] + _ROUNDING < span[1])


def _overlap(name: str, times: np.ndarray, span: np.ndarray) -> Optional[Piece]:
    inside = np.flatnonzero(_overlaps(times, span))
    if not len(inside):
        return None
    adjacent = inside[-1] - inside[0] + 1 == len(inside)
    return Piece(name, slice(int(inside[0]), int(inside[-1]) + 1) if adjacent else inside, len(inside))


def _by_role(paths: List[str], options: Options, notes: List[str]) -> Dict[str, CsdFile]:
    """Which file is which modality and which the labels: as --keys says, or by the names of the sequences."""
    wanted = list(dict.fromkeys([*paths, *(v for v in options.keys.values() if os.path.isfile(v))]))
    files: List[CsdFile] = []
    problems = Problems()
    for path in _expand(wanted):
        with problems.collected():
            if not any(os.path.samefile(path, file.path) for file in files):
                files.append(CsdFile(path))
    problems.tell()
    roles: Dict[str, CsdFile] = {}
    missing: List[str] = []
    named = {role: [f for f in files if key in (f.root, os.path.basename(f.path)) or
                    os.path.isfile(key) and os.path.samefile(key, f.path)] for role, key in options.keys.items()}
    claimed = [f.path for found in named.values() for f in found]
    for role in (*options.modalities, "labels"):
        found = named[role] if role in named else [f for f in files if f.path not in claimed and _role(f) == role]
        if len(found) > 1:
            raise UsageError(f"{' and '.join(f.path for f in found)} may be {role}: say which with --keys {role}=FILE")
        missing += [] if found else [role]
        if found:
            roles[role] = found[0]
    notes += [f"not used: {f.path} ({f.root})" for f in files if f not in roles.values()]
    if missing:
        raise UsageError(f"no computational sequence for {', '.join(missing)} among "
                         f"{', '.join(f.root for f in files) or 'no files'}: say which it is, --keys "
                         + ",".join(f"{role}=FILE" for role in missing))
    return roles


def _role(file: CsdFile) -> Optional[str]:
    title = (file.root + " " + os.path.basename(file.path)).lower().replace("_", "").replace(" ", "")
    return next((r for r, words in _ROLES.items() if any(word in title for word in words)), None)


def _expand(paths: List[str]) -> List[str]:
    out: List[str] = []
    for path in paths:
        if os.path.isdir(path):
            out += sorted(os.path.join(path, f) for f in os.listdir(path) if f.endswith(".csd"))
        else:
            out.append(path)
    return out
