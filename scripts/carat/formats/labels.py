"""Labels as people have them, as 0 and 1: token lists, class numbers, intensities, one-hot pairs, sentiment.

Shapes: N samples, C labels. All rows of a file are judged together, for a split alone may lack what tells them apart.
"""
from dataclasses import dataclass, field
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from ..errors import FormatError, Problems
from .dataset import Options
from .soft_labels import soft_parts
from .values import as_array, as_items, as_numbers

# The order of the authors' released data, and of CMU-MOSEI's own label columns after the sentiment.
EMOTIONS = ["happy", "sad", "anger", "surprise", "disgust", "fear"]
# The order of M3ED's label numbers.
M3ED_EMOTIONS = ["happy", "neutral", "sad", "disgust", "anger", "fear", "surprise"]
# The authors' name for lists of label tokens.
TOKENS = "tgt"
# Token numbers below are sentinels: 0 blank, 1 unknown, 2 start, 3 end.
FIRST_LABEL_TOKEN = 4

SENTIMENT = "sentiment"
SENTIMENT_NAMES = {
    2: ["negative", "non-negative"],
    3: ["negative", "neutral", "positive"],
    7: ["very negative", "negative", "slightly negative", "neutral", "slightly positive", "positive", "very positive"],
}
# How far two records of one sentiment may be apart: some files have one decimal.
SAME_SENTIMENT = 0.06
# More classes are no emotions: the file is another.
MOST_LABELS = 1024

_REMEDY = "check the labels, or name them with --label-names"
# Where a row of labels is, for messages.
Place = Callable[[int], str]


@dataclass
class Labels:
    """Labels [N, C] of 0 and 1, the sentiment [N] if the file has one, and what was assumed."""
    rows: np.ndarray
    names: List[str]
    sentiment: Optional[np.ndarray] = None
    notes: List[str] = field(default_factory=list)


def default_names(count: int) -> List[str]:
    """The names that the trainer gives labels that have none; of six, CMU-MOSEI's."""
    return list(EMOTIONS) if count == len(EMOTIONS) else [f"label{i}" for i in range(count)]


def names_of_tokens(dictionary: Any) -> Optional[List[str]]:
    """The labels' names in the order of their tokens, where a file has a dictionary from word to token."""
    words = dictionary.get(TOKENS) if isinstance(dictionary, dict) else None
    if not isinstance(words, dict):
        return None
    named = sorted((number, word) for word, number in words.items()
                   if isinstance(word, str) and isinstance(number, int) and number >= FIRST_LABEL_TOKEN)
    if not named or [number for number, _ in named] != list(range(FIRST_LABEL_TOKEN, FIRST_LABEL_TOKEN + len(named))):
        return None
    return [word.strip().lower() for _, word in named]


def from_tokens(lists: Sequence[Any], names: Optional[Sequence[str]], path: str, place: Place) -> Labels:
    """Labels of a list of tokens a sample: start, a token a label, end."""
    numbers = []
    for i, tokens in enumerate(lists):
        row = as_numbers(tokens, path, TOKENS).ravel()
        if not np.isfinite(row).all() or (row != np.floor(row)).any():
            raise FormatError(path, "whole numbers as tokens in 'tgt'", f"{row.tolist()} in {place(i)}", _REMEDY)
        numbers.append([int(token) - FIRST_LABEL_TOKEN for token in row if token >= FIRST_LABEL_TOKEN])
    notes = []
    if names is None:
        count = max([len(EMOTIONS), *(n + 1 for row in numbers for n in row)])
        names = default_names(min(count, MOST_LABELS))
        notes.append(f"labels: the file does not name them: taken for {', '.join(names)} (--label-names)")
    for i, own in enumerate(numbers):
        for number in own:
            if number >= len(names):
                raise FormatError(path, f"label tokens up to {FIRST_LABEL_TOKEN + len(names) - 1} for the {len(names)} "
                                  f"labels {', '.join(names)}", f"{number + FIRST_LABEL_TOKEN} in {place(i)}", _REMEDY)
    return Labels(_multi_hot(numbers, len(names)), list(names), notes=notes)


def from_numbers(numbers: Sequence[Any], names: Sequence[str], path: str, place: Place) -> np.ndarray:
    """[N, C] from the numbers 0 … C-1 of each sample's labels."""
    rows = [as_numbers(row, path, "labels").ravel() for row in numbers]
    for i, row in enumerate(rows):
        for number in row:
            if not 0 <= number < len(names) or number != int(number):
                raise FormatError(path, f"label numbers from 0 to {len(names) - 1}", f"{number} in {place(i)}", _REMEDY)
    return _multi_hot(rows, len(names))


def _multi_hot(numbers: Sequence[Any], count: int) -> np.ndarray:
    labels = np.zeros((len(numbers), count), np.float32)
    for row, sample in zip(labels, numbers):
        row[[int(n) for n in sample]] = 1
    return labels


def from_values(values: Any, options: Options, path: str, place: Place, columns: Optional[Sequence[str]] = None,
                sentiment: Optional[np.ndarray] = None, splits: Optional[Sequence[str]] = None) -> Labels:
    """Labels of a row of values a sample.

    - Parameters: `columns` what the file calls its columns; `sentiment` [N] what it has as such elsewhere; `splits` [N] the
      split of each row.
    - Throws: FormatError for what contradicts itself, is NaN or can't be told."""
    if options.one_hot:
        return _from_classes(values, options, path, place)
    array = as_numbers(values, path, "labels").astype(np.float64)
    notes: List[str] = []
    if array.ndim == 3 and array.shape[2] == 2 and array.shape[1] > 1:
        if not (np.isin(array, (0, 1)).all() and (array.sum(2) == 1).all()):
            raise FormatError(path, "labels [N, C], or one-hot pairs [N, C, 2]", f"{array.shape} that are no such pairs",
                              _REMEDY)
        array = array[:, :, 1]
        notes.append("labels: one-hot pairs (absent, present), the second is the label")
    array = array.reshape(len(array), -1)
    if sentiment is not None and len(sentiment) != len(array):
        raise FormatError(path, f"a sentiment for each of {len(array)} rows of labels", f"{len(sentiment)}",
                          "check what wrote the file")
    _refuse_unknown(array, options, path, place)
    index = _sentiment_column(array, options, path, place, columns, sentiment, notes)
    if index is not None:
        sentiment = array[:, index]
    if options.sentiment_classes is not None:
        if sentiment is None and array.shape[1] == 1:
            sentiment = array[:, 0]
        if sentiment is None:
            raise FormatError(path, "a sentiment", f"{array.shape[1]} columns of labels of which none is known to be it",
                              f"name the columns, such as --label-names {SENTIMENT},…")
        return from_sentiment(sentiment, options, path)
    is_one_label = index is None and array.shape[1] == 1 and len(options.label_names or []) == 1 and np.isin(array, (0, 1)).all()
    if array.shape[1] - (index is not None) < 2 and not is_one_label:
        raise FormatError(path, "two or more labels", "one column" + (" besides the sentiment" if index is not None else ""),
                          "for one label of 0 and 1 name it with --label-names; for class numbers say --one-hot; for a "
                          "sentiment --sentiment-classes; labels of another file go with --labels")
    kept = [i for i in range(array.shape[1]) if i != index]
    kept, names = _choose(kept, array.shape[1], options, path, columns, notes)
    array = array[:, kept]
    negative = np.argwhere(array < 0)
    if len(negative) and options.threshold is None:
        row, column = negative[0]
        raise FormatError(path, "labels or intensities of 0 and more", f"{array[row, column]:g} as {names[column]} in "
                          f"{place(int(row))}", "name the columns, sentiment too; or say with --threshold what is present")
    return Labels(_above(array, options, path, names, splits, notes), names, sentiment, notes)


def _refuse_unknown(array: np.ndarray, options: Options, path: str, place: Place) -> None:
    """Refuses what is no number; and beside it negative values, which would be refused next."""
    bad = np.argwhere(~np.isfinite(array))
    if not len(bad):
        return
    problems = Problems()
    with problems.collected():
        raise FormatError(path, "labels that are numbers", f"{array[tuple(bad[0])]} in column {bad[0][1] + 1} of "
                          f"{place(int(bad[0][0]))}, {len(bad)} such in all",
                          "leave those samples out, or write what they are")
    negative = np.argwhere(array < 0)
    # A single column may be the sentiment.
    if len(set(negative[:, 1].tolist())) > 1 or len(negative) and array.shape[1] == 1 and options.sentiment_classes is None:
        with problems.collected():
            raise FormatError(path, "labels or intensities of 0 and more", f"{array[tuple(negative[0])]:g} in column "
                              f"{negative[0][1] + 1} of {place(int(negative[0][0]))}, {len(negative)} such in all",
                              "name the columns, sentiment too; or say with --threshold what is present")
    problems.tell()


def _sentiment_column(array: np.ndarray, options: Options, path: str, place: Place, columns: Optional[Sequence[str]],
                      sentiment: Optional[np.ndarray], notes: List[str]) -> Optional[int]:
    """Which column is the sentiment: as named, or the one that equals it, or the only one with negative values."""
    count, given = array.shape[1], options.label_names
    for names in (columns, given):
        if names is not None and len(names) == count and SENTIMENT in names:
            return _agreeing(array, list(names).index(SENTIMENT), path, place, sentiment)
    if columns is not None or given is not None and len(given) == count or count == 1:
        return None
    negative = np.flatnonzero((array < 0).any(0))
    same = ([] if sentiment is None or not sentiment.any() else
            [i for i in range(count) if (np.abs(array[:, i] - sentiment) < SAME_SENTIMENT).all()])
    if len(same) == 1:
        notes.append(f"labels: column {same[0] + 1} of {count} is the sentiment that the file has elsewhere: no label")
        return same[0]
    if len(negative) == 1:
        notes.append(f"labels: column {negative[0] + 1} of {count}, the only one with negative values, is taken for the "
                     "sentiment")
        return _agreeing(array, int(negative[0]), path, place, sentiment)
    if given is not None and len(given) == count - 1:
        raise FormatError(path, f"a column for each of the {len(given)} labels {', '.join(given)}, and a sentiment",
                          f"{count} columns, of which {len(negative) or 'none'} have negative values",
                          f"name every column in its order, a sentiment as '{SENTIMENT}', with --label-names")
    return None


def _agreeing(array: np.ndarray, index: int, path: str, place: Place, sentiment: Optional[np.ndarray]) -> int:
    if sentiment is not None:
        other = np.flatnonzero(np.abs(array[:, index] - sentiment) >= SAME_SENTIMENT)
        if len(other):
            row = int(other[0])
            raise FormatError(path, f"one sentiment a sample: {sentiment[row]:g} by itself",
                              f"{array[row, index]:g} in column {index + 1} of the labels in {place(row)}", _REMEDY)
    return index


def _choose(kept: List[int], count: int, options: Options, path: str, columns: Optional[Sequence[str]], notes: List[str]
            ) -> Tuple[List[int], List[str]]:
    """The columns that are labels, and their names."""
    given = options.label_names
    if columns is not None:
        found = [columns[i] for i in kept]
        if given is None:
            return kept, found
        wanted = [name for name in given if name != SENTIMENT]
        missing = [name for name in wanted if name not in found]
        if missing:
            raise FormatError(path, f"a column for each of {', '.join(wanted)}", f"{', '.join(found)}",
                              "name the labels as the file does with --label-names")
        return [kept[found.index(name)] for name in wanted], wanted
    if given is None:
        names = default_names(len(kept))
        notes.append(f"labels: the file does not name them: taken for {', '.join(names)} (--label-names)")
        return kept, names
    wanted = [name for name in given if name != SENTIMENT]
    if len(wanted) != len(kept):
        raise FormatError(path, f"a column for each of the {len(wanted)} labels {', '.join(wanted)}",
                          f"{len(kept)}" + (" and a sentiment" if len(kept) < count else ""), _REMEDY)
    return kept, wanted


def _above(array: np.ndarray, options: Options, path: str, names: Sequence[str], splits: Optional[Sequence[str]],
           notes: List[str]) -> np.ndarray:
    """1 where a value is above the threshold, 0 elsewhere."""
    threshold = options.threshold or 0.0
    between = ~np.isin(array, (0, 1))
    if between.any():
        soft = soft_parts(array, between, names, splits) if options.threshold is None else []
        if soft:
            raise FormatError(path, "labels of 0 and 1, or intensities that are 0 where a label does not apply",
                              "; ".join(soft[:6]) + (f"; and {len(soft) - 6} more" if len(soft) > 6 else ""),
                              "say what is present, such as --threshold 0.5; or --threshold 0 if it is all above 0")
        notes.append(f"labels: {between.sum()} of {array.size} values are neither 0 nor 1; present is what is above "
                     f"{threshold:g} (--threshold)")
    return (array > threshold).astype(np.float32)


def _from_classes(values: Any, options: Options, path: str, place: Place) -> Labels:
    """One label a sample, by its number or name."""
    array = as_array(values, path, "labels")
    if array.dtype == object:
        items = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item
                 for item in as_items(values, path, "labels")]
        array = (np.array(items) if all(isinstance(item, str) for item in items) else as_numbers(values, path, "labels"))
    array = array.reshape(len(array), -1)
    if array.shape[1] != 1:
        raise FormatError(path, "one class a sample for --one-hot", f"{array.shape[1]} columns", "leave --one-hot out")
    classes = array[:, 0]
    if classes.dtype.kind in "US":
        classes = classes.astype(str)
        names = options.label_names or sorted(set(classes.tolist()))
        for row, name in enumerate(classes):
            if name not in names:
                raise FormatError(path, f"one of {', '.join(names)}", f"'{name}' in {place(row)}",
                                  "give all with --label-names")
        return Labels(_multi_hot([[names.index(name)] for name in classes], len(names)), list(names))
    classes = as_numbers(classes, path, "labels").astype(np.float64)
    whole = np.isfinite(classes) & (classes == np.floor(classes)) & (classes >= 0)
    if not whole.all():
        row = int(np.argmin(whole))
        raise FormatError(path, "class numbers 0, 1, 2, …", f"{classes[row]:g} in {place(row)}", "leave --one-hot out")
    if options.label_names is None and classes.max() >= MOST_LABELS:
        raise FormatError(path, f"class numbers below {MOST_LABELS}", f"{classes.max():g}", "check the labels")
    names = options.label_names or default_names(max(int(classes.max()) + 1, 2))
    notes = ([] if options.label_names else
             [f"labels: classes 0 to {len(names) - 1} are called {', '.join(names)} (--label-names)"])
    absent = sorted(set(range(len(names))) - set(classes.astype(int).tolist()))
    if absent:
        notes.append(f"labels: no sample is of class {', '.join(map(str, absent[:8]))}")
    return Labels(from_numbers(list(classes[:, None]), names, path, place), list(names), notes=notes)


def from_sentiment(sentiment: np.ndarray, options: Options, path: str) -> Labels:
    """One label a sample, from a sentiment between −3 and 3."""
    classes = options.sentiment_classes
    assert classes is not None
    if not np.isfinite(sentiment).all():
        raise FormatError(path, "finite sentiments", f"{sentiment[~np.isfinite(sentiment)][0]} in row "
                          f"{int(np.argmin(np.isfinite(sentiment)))}", _REMEDY)
    if np.abs(sentiment).max() > 3:
        raise FormatError(path, "sentiments from -3 to 3", f"{sentiment.min():g} to {sentiment.max():g}", _REMEDY)
    if classes == 2:
        index = (sentiment >= 0).astype(int)
    elif classes == 3:
        index = np.sign(sentiment).astype(int) + 1
    else:
        index = np.rint(sentiment).astype(int) + 3
    names = options.label_names or SENTIMENT_NAMES[classes]
    if len(names) != classes:
        raise FormatError(path, f"{classes} label names", ", ".join(names), "correct --label-names")
    note = f"labels: {classes} classes of the sentiment, which is from {sentiment.min():g} to {sentiment.max():g}"
    return Labels(np.eye(classes, dtype=np.float32)[index], list(names), sentiment, [note])
