"""What is done to a data set as a whole before it is written: ids, mixed features, splits, padding; and its checks.

Everything that is wrong is told at once."""
from collections import Counter
from typing import Dict, List, Tuple

import numpy as np

from ..errors import FormatError, Problems, UsageError
from . import sample_ids
from .dataset import ALL, SPLITS, Options, SourceDataset
from .sequences import FrontPadded
from .splitting import split_at_random


def prepare(source: SourceDataset, options: Options) -> None:
    """Makes three splits that agree with each other.

    - Throws: FormatError for what contradicts, in a split or between splits."""
    problems, before = source.problems, len(source.problems.errors)
    if options.split is not None and list(source.splits) != [ALL]:
        raise UsageError(f"{source.path} has its splits: leave --split out")
    _check_counts(source, problems)
    countable = len(problems.errors) == before
    _check_ids(source, problems)
    with problems.collected():
        _check_splits(source, options)
    with problems.collected():
        _check_names(source)
    if countable:
        with problems.collected():
            _agree_on_features(source, options, problems)
        for modality in source.modalities:
            with problems.collected():
                _find_padding(source, modality, options)
    problems.tell()
    if options.split is not None:
        source.splits, note = split_at_random(source, options.split, options.seed)
        source.notes.append(note)
    _note_shared_videos(source)
    lacking = [name for name, split in source.splits.items() if split.ids is None]
    if lacking and len(lacking) < len(source.splits):
        source.notes.append(f"ids: split {' and '.join(lacking)} has none; its samples are not known by name")


def _check_counts(source: SourceDataset, problems: Problems) -> None:
    for name, split in source.splits.items():
        counts = {m: s.count for m, s in split.modalities.items()}
        if split.labels is not None:
            counts["labels"] = len(split.labels)
        if split.ids is not None:
            counts["ids"] = len(split.ids)
        with problems.collected():
            if len(set(counts.values())) != 1 or not split.count:
                raise FormatError(source.path, f"as many samples of each modality as labels in split {name}",
                                  ", ".join(f"{n} of {m}" for m, n in counts.items()), "check what wrote the file")


def _check_splits(source: SourceDataset, options: Options) -> None:
    if options.one_file:
        if list(source.splits) != [ALL]:
            raise FormatError(source.path, "samples without splits for one file", f"splits {', '.join(source.splits)}",
                              "give a directory as the output")
        return
    if list(source.splits) == [ALL] and options.split is None:
        raise FormatError(source.path, "splits train, valid and test", f"{source.splits[ALL].count} samples without",
                          "say how to split them, such as --split 0.8,0.1,0.1; or give a directory with a file a split")
    missing = [split for split in SPLITS if split not in source.splits]
    if list(source.splits) != [ALL] and missing:
        raise FormatError(source.path, f"a split {' and '.join(missing)}", ", ".join(source.splits),
                          "give all of train, valid, test")


def _check_ids(source: SourceDataset, problems: Problems) -> None:
    """That every name is that of one sample, in all splits."""
    first: Dict[str, Tuple[str, int]] = {}
    repeated: Dict[Tuple[str, str], List[Tuple[str, int, int]]] = {}
    for name, split in source.splits.items():
        for row, sample in enumerate(split.ids or []):
            there, before = first.setdefault(sample_ids.canonical(sample), (name, row))
            if (there, before) != (name, row):
                repeated.setdefault((there, name), []).append((sample, before, row))
    for (there, name), samples in repeated.items():
        sample, before, row = samples[0]
        more = f", and {len(samples) - 1} more" if len(samples) > 1 else ""
        with problems.collected():
            raise FormatError(
                source.path, "every id once" if there == name else "every sample in one split",
                f"'{sample}' in row {before} of {there} and row {row} of {name}{more}",
                "leave one out; or, where ids name videos, number the clips with --ids number" if there == name else
                "take it out of one of them; or leave ids that mean something else out with --ids none")


def _agree_on_features(source: SourceDataset, options: Options, problems: Problems) -> None:
    """One number of features a modality; samples with another are left out or cut, if the options say so."""
    keep = {name: np.ones(split.count, bool) for name, split in source.splits.items()}
    for modality in source.modalities:
        widths = {name: split.modalities[modality].widths() for name, split in source.splits.items()}
        counts = Counter(int(width) for array in widths.values() for width in array if width)
        if len(counts) == 1:
            continue
        usual = counts.most_common(1)[0][0]
        other = {name: (array != usual) & (array != 0) for name, array in widths.items()}
        summary = ", ".join(f"{width} in {count} samples" for width, count in counts.most_common(6))
        if len(counts) > 6:
            summary += f" and {len(counts) - 6} more numbers"
        if options.mixed_features is None:
            name = next(n for n, rows in other.items() if rows.any())
            row = int(np.argmax(other[name]))
            with problems.collected():
                raise FormatError(source.path, f"{usual} features of {modality} in every sample",
                                  f"{summary}; {widths[name][row]} in split {name}, {source.splits[name].place(row)}",
                                  "leave those samples out or cut all to the fewest: --mixed-features leave-out|cut")
        elif options.mixed_features == "cut":
            for split in source.splits.values():
                split.modalities[modality].features = min(counts)
            source.notes.append(f"{modality}: number of features: {summary}; all cut to the first {min(counts)}")
        else:
            for name, rows in other.items():
                keep[name] &= ~rows
            for split in source.splits.values():
                split.modalities[modality].features = usual
            left_out = sum(int(rows.sum()) for rows in other.values())
            source.notes.append(f"{modality}: number of features: {summary}; the {left_out} samples without {usual} are left "
                                "out")
    for name, rows in keep.items():
        if rows.all():
            continue
        if not rows.any():
            raise FormatError(source.path, f"samples of split {name} with the features of the others", "none",
                              "cut all to the fewest instead: --mixed-features cut")
        source.splits[name] = source.splits[name].select(np.flatnonzero(rows))


def _check_names(source: SourceDataset) -> None:
    names = source.label_names
    if len(set(names)) != len(names) or any("," in n or not n.strip() for n in names):
        raise FormatError(source.path, "different label names without commas", f"{names}", "use --label-names")


def _find_padding(source: SourceDataset, modality: str, options: Options) -> None:
    """Where lengths are known, on which side the zeros are that they call padding: those before the steps are moved."""
    places: Dict[str, List[str]] = {"end": [], "front": []}
    unclear = 0
    for name, split in source.splits.items():
        sequences = split.modalities[modality]
        edges = sequences.edges()
        if edges is None:
            continue
        first, last = edges[sequences.lengths() < sequences.steps].T
        rows = np.flatnonzero(sequences.lengths() < sequences.steps)
        places["end"] += [f"split {name}, {split.place(row)}" for row in rows[first & ~last]]
        places["front"] += [f"split {name}, {split.place(row)}" for row in rows[~first & last]]
        unclear += int((first & last).sum())
    if places["front"] and places["end"] and options.padding is None:
        raise FormatError(source.path, f"padding of {modality} on one side, as the lengths are given",
                          f"zeros before the steps in {places['front'][0]}, behind them in {places['end'][0]}",
                          "check the lengths, or say where with --padding end|front")
    if options.padding == "front" or places["front"] and options.padding is None:
        for name, split in source.splits.items():
            if split.modalities[modality].edges() is not None:
                split.modalities[modality] = FrontPadded(split.modalities[modality], source.path, f"{name} {modality}")
        if places["front"] or places["end"]:
            source.notes.append(f"{modality}: padding was before the steps: moved behind them, in {len(places['front'])} "
                                "samples")
    elif unclear:
        source.notes.append(f"{modality}: {unclear} samples have values in steps that their lengths call padding; such "
                            "steps do not count")


def _note_shared_videos(source: SourceDataset) -> None:
    """Clips of a video in two splits are no contradiction, but the one who measures has to know."""
    videos: Dict[str, set] = {}
    for name, split in source.splits.items():
        for sample in split.ids or []:
            videos.setdefault(sample_ids.video_of(sample), set()).add(name)
    shared = [video for video, splits in videos.items() if len(splits) > 1]
    if shared:
        source.notes.append(f"{len(shared)} videos have clips in more than one split, such as '{shared[0]}'")
