"""A data set of named fields: the authors' `train_valid_test.pt` and `m3ed_data_60.pt`, `mosei_senti_data_noalign.pkl`,
MMSA's `aligned_50.pkl` and `unaligned_50.pkl`, npz files, lists of samples, and what people make of these."""
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from ...errors import FormatError, NoLabels, Problems
from ..dataset import ALL, Options, SourceDataset, SourceSplit
from ..labels import TOKENS, from_tokens, from_values, names_of_tokens
from ..pairing import LabelTable, Samples
from ..sample_ids import ids_of, numbered
from ..sequences import FrontPadded, Sequences, sequences_of
from ..values import as_array, as_items, as_numbers, shape_text
from .fields import Fields, with_text_keys


def label_table(fields: Fields, options: Options) -> LabelTable:
    """The labels that a file holds, with what can pair them with samples."""
    options = _with_names(fields, options)
    key, parts = _label_parts(fields, options)
    rows = [(split, i) for split, part in zip(fields.splits, parts) for i in range(len(part))]
    ids: Optional[List[str]] = None
    if options.ids != "none" and fields.has("id", options):
        ids = [name for split in fields.splits for name in _ids(fields, split, options) or []]
        if len(ids) != len(rows):
            raise FormatError(fields.path, "an id for every row of labels", f"{len(ids)} for {len(rows)}",
                              "check what wrote the file")
    places = [f"row {i} of {split}" + (f" ('{ids[n]}')" if ids is not None else "") for n, (split, i) in enumerate(rows)]

    def place(row: int) -> str:
        return places[row]

    if key == TOKENS:
        words = with_text_keys(fields.words) if isinstance(fields.words, dict) else None
        lists = [tokens for part in parts for tokens in part]
        labels = from_tokens(lists, options.label_names or names_of_tokens(words), fields.path, place)
    else:
        labels = from_values(np.concatenate(parts), options, fields.path, place, sentiment=_sentiments(fields, options),
                             splits=[split for split, _ in rows])
    return LabelTable(fields.path, labels, places, {} if ids is None else {"": ids}, [split for split, _ in rows],
                      ordered=True, notes=labels.notes, key=key)


def open_source(fields: Fields, options: Options, table: Optional[Callable[[], LabelTable]] = None) -> SourceDataset:
    """The data set in a file, with labels from another if there is one. What is wrong is in its `problems`, unless nothing
    is left to look at."""
    path, problems, notes = fields.path, Problems(), []
    modalities: Dict[str, Dict[str, Sequences]] = {split: {} for split in fields.splits}
    ids: Dict[str, Optional[List[str]]] = dict.fromkeys(fields.splits)
    unknown, flat = [], set()
    for check in (_require_modalities, _require_keys):
        with problems.collected():
            check(fields, options)
    for split in fields.splits:
        for modality in options.modalities:
            with problems.collected():
                key, value = options.find(fields.splits[split], modality)
                if key is None:
                    continue
                lengths, front = _lengths(fields, split, modality, options)
                sequences = sequences_of(value, path, _named(split, key), lengths)
                modalities[split][modality] = sequences
                if front:
                    modalities[split][modality] = FrontPadded(sequences, path, _named(split, key), zeros=False)
                    notes.append(f"{modality}: the mask of split {split} has its padding first: moved behind the steps")
                unknown += [modality] if lengths is None and not sequences.ragged and sequences.steps > 1 else []
                flat |= {modality} if as_array(value, path, key).ndim == 2 and sequences.steps == 1 else set()
        with problems.collected():
            ids[split] = _ids(fields, split, options)
    if options.ids == "number":
        ids = _numbered(ids)
    labels: Dict[str, np.ndarray] = {}
    names: List[str] = []
    label_key: Optional[str] = None
    with problems.collected():
        try:
            labels, names, label_key = _labels_of(fields, options, None if table is None else table(), ids, notes)
        except NoLabels:
            if not options.one_file or table is not None or "labels" in options.keys:
                raise
            notes.append("labels: the file has none, so it is for prediction only")
    if not all(modalities.values()):
        problems.tell()
    notes += [f"{m}: has no steps in time, so each sample is one step" for m in options.modalities if m in flat]
    if unknown:
        some = [m for m in options.modalities if m in unknown]
        notes.append(f"{', '.join(some)}: the file has no lengths, so every step counts (--infer-lengths takes all-zero "
                     "steps for padding)")
    unused = _unused(fields, options, label_key, table is not None)
    if unused:
        notes.append(f"not used: {', '.join(unused)}; see --modalities and --keys")
    splits = {split: SourceSplit(modalities[split], labels.get(split), ids[split]) for split in fields.splits}
    return SourceDataset(fields.kind, path, names, splits, notes=notes, problems=problems)


def _unused(fields: Fields, options: Options, label_key: Optional[str], paired: bool) -> List[str]:
    """What the file has besides, with its shape in the first split that has it: nobody shall think that it is learned from."""
    where: Dict[str, List[str]] = {}
    for split, found in fields.splits.items():
        roles = [*options.modalities, *(f"{m}_length" for m in options.modalities), *(["id"] if options.ids != "none" else [])]
        used = {options.find(found, role)[0] for role in roles} | {label_key}
        if "text" in options.modalities and options.find(found, "text_length")[0] is None:
            used.add("text_bert")                                            # whose mask tells the lengths
        if paired or label_key != TOKENS:
            used.add(_sentiment(fields, split, options)[0])
        for name in found:
            if name not in used:
                where.setdefault(name, []).append(split)
    unused = [f"{name} {shape_text(fields.splits[splits[0]][name])}" + ("" if len(splits) == len(fields.splits) else
              f" in split {' and '.join(splits)}") for name, splits in where.items()]
    return unused + [f"{name} {shape_text(value)}, in no split" for name, value in fields.others.items()
                     if isinstance(value, (np.ndarray, list, tuple, dict))]


def _numbered(ids: Dict[str, Optional[List[str]]]) -> Dict[str, Optional[List[str]]]:
    """Numbers over all splits, for clips of a video may be in several."""
    every = iter(numbered([name for names in ids.values() for name in names or []]))
    return {split: None if names is None else [next(every) for _ in names] for split, names in ids.items()}


def _named(split: str, key: str) -> str:
    return key if split == ALL else f"{split} {key}"


def _in(split: str) -> str:
    return "" if split == ALL else f" in split {split}"


def _require_modalities(fields: Fields, options: Options) -> None:
    for split, found in fields.splits.items():
        missing = [m for m in options.modalities if options.find(found, m)[0] is None]
        if missing:
            raise FormatError(
                fields.path, "; ".join(f"{m}: {' or '.join(options.names_of(m))}" for m in missing),
                f"only {fields.describe(split)}{_in(split)}",
                f"say what they are called, --keys {','.join(m + '=NAME' for m in missing)}, or which there are, --modalities")


def _require_keys(fields: Fields, options: Options) -> None:
    """What --keys names is there. Labels may be in another file."""
    for role, key in options.keys.items():
        for split, found in fields.splits.items():
            if role != "labels" and role not in options.modalities and found.get(key) is None:
                raise FormatError(fields.path, f"{role} in '{key}'", f"{fields.describe(split)}{_in(split)}", "correct --keys")


def _ids(fields: Fields, split: str, options: Options) -> Optional[List[str]]:
    if options.ids == "none":
        return None
    key, value = options.find(fields.splits[split], "id")
    if key is None:
        return None
    return ids_of(value, fields.path, _named(split, key))


def _sentiment(fields: Fields, split: str, options: Options) -> Tuple[Optional[str], Optional[np.ndarray]]:
    """A field's name and values [N], where it is one number a sample and called as a sentiment is; else two times None."""
    for key in options.names_of("sentiment"):
        if fields.splits[split].get(key) is None or options.one_hot and key in options.names_of("labels"):
            continue
        try:
            values = as_numbers(fields.splits[split][key], fields.path, key)
        except FormatError:
            continue
        if values.ndim and values.size == len(values):
            return key, values.reshape(-1).astype(np.float64)
    return None, None


def _labels_of(fields: Fields, options: Options, table: Optional[LabelTable], ids: Dict[str, Optional[List[str]]],
               notes: List[str]) -> Tuple[Dict[str, np.ndarray], List[str], Optional[str]]:
    """Labels of each split's samples, the file's own or another's; their names; and the field of this file that has them."""
    key: Optional[str] = None
    if table is None:
        table = label_table(fields, replace(options, ids="none"))            # its own rows are in its own order
        key = table.key
        labels = {split: table.labels.rows[np.array(table.splits) == split] for split in fields.splits}
    else:
        samples = {}
        for split in fields.splits:
            counts = [len(as_items(value, fields.path, key)) for key, value in (
                options.find(fields.splits[split], m) for m in options.modalities) if key is not None]
            _, sentiment = _sentiment(fields, split, options)
            for what, values in (("a sentiment", sentiment), ("an id", ids[split])):
                if counts and values is not None and len(values) != counts[0]:
                    raise FormatError(fields.path, f"{what} for each of {counts[0]} samples{_in(split)}", f"{len(values)}",
                                      "check what wrote the file")
            samples[split] = Samples(counts[0] if counts else 0, ids[split], sentiment)
        labels = table.pair(samples, fields.path)
    notes += table.notes
    return labels, list(table.labels.names), key


def _label_parts(fields: Fields, options: Options) -> Tuple[str, List[Any]]:
    """Which field has the labels, and what it has in each split: lists of tokens, or arrays of one shape but for the rows."""
    path = fields.path
    if options.sentiment_classes is None and "labels" not in options.keys and fields.has(TOKENS, options):
        return TOKENS, [as_items(found[TOKENS], path, TOKENS) for found in fields.splits.values()]
    for key in options.names_of("labels"):
        if any(found.get(key) is None for found in fields.splits.values()):
            continue
        parts = [_array(found[key], path, key, options) for found in fields.splits.values()]
        shapes = sorted({part.shape[1:] for part in parts})
        if len(shapes) > 1:
            raise FormatError(path, f"as many labels in '{key}' of every split", ", ".join(map(str, shapes)),
                              "make all splits with the same labels")
        # One column of a name that sentiments have too is one, unless somebody says otherwise.
        if np.prod(shapes[0]) != 1 or options.one_hot or "labels" in options.keys:
            return key, parts
    sentiment = [_sentiment(fields, split, options)[1] for split in fields.splits]
    if options.sentiment_classes is not None and all(part is not None for part in sentiment):
        return "sentiment", [part[:, None] for part in sentiment if part is not None]
    split = next(iter(fields.splits))
    if options.sentiment_classes is not None:
        raise FormatError(path, "a sentiment: " + " or ".join(options.names_of("sentiment")), fields.describe(split),
                          "use --labels")
    raise NoLabels(path, "labels: tgt, " + ", ".join(options.names_of("labels")) + " of two or more columns",
                   f"only {fields.describe(split)}{_in(split)}",
                   "name them with --keys labels=NAME; give a file that has them with --labels; for class numbers say "
                   "--one-hot; or derive them with --sentiment-classes")


def _array(value: Any, path: str, key: str, options: Options) -> np.ndarray:
    """The labels of a split."""
    array = as_array(value, path, key)
    if array.ndim == 0 or not array.size:
        raise FormatError(path, f"labels in '{key}' of every split", shape_text(value), "check what wrote the file")
    if options.one_hot:
        return array
    if isinstance(array.ravel()[0], str):
        raise FormatError(path, "labels as numbers", f"words in '{key}', such as '{array.ravel()[0]}'",
                          "for names of classes say --one-hot")
    return as_numbers(value, path, key)


def _sentiments(fields: Fields, options: Options) -> Optional[np.ndarray]:
    """Of all splits together; None unless all have one."""
    parts = [part for _, part in (_sentiment(fields, split, options) for split in fields.splits) if part is not None]
    return np.concatenate(parts) if len(parts) == len(fields.splits) else None


def _with_names(fields: Fields, options: Options) -> Options:
    """The file's own label names, where nobody gave others: a list, or one text with commas."""
    if options.label_names is not None or fields.label_names is None or options.sentiment_classes is not None:
        return options
    value = fields.label_names
    names = [value] if isinstance(value, str) else ids_of(
        value.reshape(-1) if isinstance(value, np.ndarray) else value, fields.path, "label_names")
    return replace(options, label_names=[n.strip() for n in (names[0].split(",") if len(names) == 1 else names)])


def _lengths(fields: Fields, split: str, modality: str, options: Options) -> Tuple[Optional[np.ndarray], bool]:
    """How many steps of each sample are not padding, where the file says so, and whether its mask has padding first."""
    path = fields.path
    key, value = options.find(fields.splits[split], f"{modality}_length")
    if key is not None:
        lengths = as_numbers(value, path, key).reshape(-1)
        if (lengths != np.floor(lengths)).any():
            raise FormatError(path, f"whole numbers of steps in '{key}'",
                              f"{lengths[lengths != np.floor(lengths)][0]}{_in(split)}", "check the lengths")
        return lengths.astype(np.int64), False
    if modality == "text" and fields.splits[split].get("text_bert") is not None:   # [N, 3, T]: tokens, mask, segment
        tokens = as_numbers(fields.splits[split]["text_bert"], path, "text_bert")
        if tokens.ndim == 3 and tokens.shape[1] == 3:
            mask = tokens[:, 1] > 0
            lengths = mask.sum(1)
            steps = np.arange(mask.shape[1])
            if (mask == (steps < lengths[:, None])).all():
                return lengths, False
            if (mask == (steps >= mask.shape[1] - lengths[:, None])).all():
                return lengths, True
            raise FormatError(path, "a mask in text_bert with its padding on one side", f"another{_in(split)}",
                              "take text_bert out, or write text_lengths")
    return None, False
