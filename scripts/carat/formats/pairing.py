"""Labels from another file than the features: paired by id or by interval, by position only where neither file has ids,
and checked by the sentiment where both have one."""
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import FormatError, Problems
from . import sample_ids
from .labels import SAME_SENTIMENT, Labels

# Two records of when a clip starts or ends may be as many seconds apart.
SAME_TIME = 0.05


class Samples(NamedTuple):
    """What is known of the samples of a split besides their features."""
    size: int
    ids: Optional[List[str]]
    sentiment: Optional[np.ndarray]

    def place(self, split: str, row: int) -> str:
        return f"row {row} of {split}" + (f" ('{self.ids[row]}')" if self.ids is not None else "")


class Pairs(NamedTuple):
    """Which row of a table each sample of a split has; −1 where there is none."""
    numbering: str
    rows: Dict[str, np.ndarray]

    @property
    def complete(self) -> bool:
        return all((rows >= 0).all() for rows in self.rows.values())


@dataclass
class LabelTable:
    """M labelled rows of a file.

    `numberings` are the names that the rows have; several, with a word for each, where files differ in how they number the
    clips of a video. `splits` is the split of each row if the file has splits, `spans` [M, 2] when it starts and ends.
    `ordered` says that the rows of a split may be taken in their order where ids are missing; `key` is the name of the field
    that has the labels, if it has one."""
    path: str
    labels: Labels
    places: List[str]
    numberings: Dict[str, List[str]] = field(default_factory=dict)
    splits: Optional[List[str]] = None
    spans: Optional[np.ndarray] = None
    ordered: bool = False
    notes: List[str] = field(default_factory=list)
    key: Optional[str] = None

    def pair(self, samples: Dict[str, Samples], path: str) -> Dict[str, np.ndarray]:
        """Labels [N, C] for the samples of each split of the file `path`."""
        named = [s.ids is not None for s in samples.values()]
        problems = Problems()
        if self.numberings and all(named):
            pairs = self._by_id(samples, path, problems)
        else:
            pairs = self._by_position(samples, path)
        with problems.collected():
            self._refuse_other_sentiments(pairs, samples, path)
        problems.tell()
        self._look_at_splits(pairs)
        return {split: self.labels.rows[rows] for split, rows in pairs.rows.items()}

    def _by_position(self, samples: Dict[str, Samples], path: str) -> Pairs:
        if not self.ordered or self.splits is None:
            raise FormatError(path, f"samples with ids, to look them up in {self.path}", "none",
                              "add a field of ids, or name it with --keys id=NAME")
        rows = {}
        problems = Problems()
        for split, s in samples.items():
            rows[split] = np.flatnonzero(np.array(self.splits) == split)
            if len(rows[split]) != s.size:
                with problems.collected():
                    raise FormatError(self.path, f"labels for {s.size} samples in split {split}, as {path} has",
                                      f"{len(rows[split])}", "give the labels of these samples, or ids in both files")
        problems.tell()
        pairs = Pairs("by position", rows)
        without = path if self.numberings else self.path
        self.notes.append(f"labels: {without} has no ids, so row k of {self.path} is taken for sample k"
                          + self._confirmed(pairs, samples))
        return pairs

    def _by_id(self, samples: Dict[str, Samples], path: str, problems: Problems) -> Pairs:
        """The pairs of the numbering under which every sample has a row and no sentiment disagrees."""
        candidates = [Pairs(word, self._look_up(names, samples, problems)) for word, names in self.numberings.items()]
        if len(candidates) == 1:
            pairs = candidates[0]
        else:
            pairs = self._the_one_that_fits(candidates, samples, path)
        missing = [(split, int(row)) for split, rows in pairs.rows.items() for row in np.flatnonzero(rows < 0)]
        if missing:
            split, row = missing[0]
            count = sum(s.size for s in samples.values())
            with problems.collected():
                raise FormatError(self.path, f"labels for every sample of {path}", f"none for {len(missing)} of {count}, "
                                  f"first {samples[split].place(split, row)}", "check that the names in both files are alike")
        if len(candidates) == 1:
            self.notes.append(f"labels: from {self.path}, by id" + self._confirmed(pairs, samples))
        else:
            self.notes.append(f"labels: clip k of a video is its segment k in {self.path}, {pairs.numbering}"
                              + (self._confirmed(pairs, samples) or ": taken so, for nothing allows a check"))
        return pairs

    def _the_one_that_fits(self, candidates: List[Pairs], samples: Dict[str, Samples], path: str) -> Pairs:
        checkable = self._checked(candidates[0], samples) > 0
        fitting = [p for p in candidates if p.complete and (not checkable or not self._disagreements(p, samples))]
        if not fitting:
            return candidates[0]                                             # whose first fault will be told
        if not checkable:                                                    # numbers from 1 are believed only if confirmed
            fitting = [p for p in fitting if not p.numbering.endswith("from 1")] or fitting
        labels = [np.concatenate([self.labels.rows[rows] for rows in p.rows.values()]) for p in fitting]
        for pairs, other in zip(fitting[1:], labels[1:]):
            if not np.array_equal(labels[0], other):
                raise FormatError(self.path, "one way to number the segments of a video", f"'{fitting[0].numbering}' and "
                                  f"'{pairs.numbering}', which give the samples of {path} other labels",
                                  "give the labels by the samples' ids as CSV, or ids as (video, start, end)")
        return fitting[0]

    def _look_up(self, names: List[str], samples: Dict[str, Samples], problems: Problems) -> Dict[str, np.ndarray]:
        index = self._index(names, problems)
        by_video: Dict[str, List[int]] = {}
        if self.spans is not None:
            for row, name in enumerate(names):
                by_video.setdefault(sample_ids.video_of(name), []).append(row)
        rows = {}
        for split, s in samples.items():
            assert s.ids is not None
            rows[split] = np.array([self._row_of(name, index, by_video) for name in s.ids])
        return rows

    def _row_of(self, name: str, index: Dict[str, int], by_video: Dict[str, List[int]]) -> int:
        video, _, span = sample_ids.parts(name)
        if span is not None and self.spans is not None:
            for row in by_video.get(video, []):
                if np.abs(self.spans[row] - span).max() < SAME_TIME:
                    return row
            return -1
        return index.get(sample_ids.canonical(name), -1)

    def _index(self, names: List[str], problems: Problems) -> Dict[str, int]:
        """The row of each name. The same labels twice are harmless."""
        index: Dict[str, int] = {}
        same, other = 0, []
        for row, name in enumerate(names):
            first = index.setdefault(sample_ids.canonical(name), row)
            if np.array_equal(self.labels.rows[first], self.labels.rows[row]):
                same += first != row
            else:
                other.append(f"two for '{name}', in {self.places[first]} and {self.places[row]}")
        if other:
            with problems.collected():
                raise FormatError(self.path, "one set of labels for every id", "; ".join(other[:3]) + (
                    f"; and {len(other) - 3} more" if len(other) > 3 else ""), "leave one out")
        if same:
            self.notes.append(f"labels: {same} rows of {self.path} repeat another with the same labels")
        return index

    def _checked(self, pairs: Pairs, samples: Dict[str, Samples]) -> int:
        """How many samples have a sentiment in both files."""
        return 0 if self.labels.sentiment is None else sum(s.size for s in samples.values() if s.sentiment is not None)

    def _confirmed(self, pairs: Pairs, samples: Dict[str, Samples]) -> str:
        checked = self._checked(pairs, samples)
        return f", which the sentiment of {checked} samples confirms" if checked else ""

    def _disagreements(self, pairs: Pairs, samples: Dict[str, Samples]) -> List[Tuple[str, int]]:
        """The samples, by split and row, whose sentiment is another in the row of the table that they are paired with."""
        found: List[Tuple[str, int]] = []
        for split, s in samples.items():
            if self.labels.sentiment is None or s.sentiment is None:
                continue
            rows = pairs.rows[split]
            theirs = np.where(rows >= 0, self.labels.sentiment[rows], s.sentiment)
            found += [(split, int(row)) for row in np.flatnonzero(~(np.abs(theirs - s.sentiment) < SAME_SENTIMENT))]
        return found

    def _refuse_other_sentiments(self, pairs: Pairs, samples: Dict[str, Samples], path: str) -> None:
        other = self._disagreements(pairs, samples)
        if not other:
            return
        split, row = other[0]
        s, place = samples[split], pairs.rows[split][row]
        assert s.sentiment is not None and self.labels.sentiment is not None
        how = f" ({pairs.numbering})" if pairs.numbering else ""
        more = f"; and so for {len(other) - 1} more samples" if len(other) > 1 else ""
        raise FormatError(self.path, f"the sentiment {s.sentiment[row]:.3g} that {path} has in {s.place(split, row)}",
                          f"{self.labels.sentiment[place]:.3g} in {self.places[place]}{how}{more}",
                          "these labels are of other samples: give them by the samples' ids")

    def _look_at_splits(self, pairs: Pairs) -> None:
        if self.splits is None or set(self.splits) != set(pairs.rows):
            return
        other = sum(int((np.array(self.splits)[rows] != split).sum()) for split, rows in pairs.rows.items())
        if other:
            self.notes.append(f"labels: {other} samples are in another split in {self.path}; those of the features count")
