"""Labels as people have them, as 0 and 1: token lists, intensities, sentiment, tables by sample name.

Shapes: N samples, C labels.
"""
import csv
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .errors import FormatError
from .values import as_items, as_numbers

# The order of the authors' released data, and of CMU-MOSEI's own label columns after the sentiment.
EMOTIONS = ["happy", "sad", "anger", "surprise", "disgust", "fear"]
# The order of M3ED's label numbers.
M3ED_EMOTIONS = ["happy", "neutral", "sad", "disgust", "anger", "fear", "surprise"]
# Token numbers below are sentinels: 0 blank, 1 unknown, 2 start, 3 end.
FIRST_LABEL_TOKEN = 4

SENTIMENT_NAMES = {
    2: ["negative", "non-negative"],
    3: ["negative", "neutral", "positive"],
    7: ["very negative", "negative", "slightly negative", "neutral", "slightly positive", "positive", "very positive"],
}
_REMEDY = "check the labels, or name them with --label-names"


def names_of_tokens(dictionary: Any) -> Optional[List[str]]:
    """The labels' names in the order of their tokens, where a file has a dictionary from word to token."""
    words = dictionary.get("tgt") if isinstance(dictionary, dict) else None
    if not isinstance(words, dict):
        return None
    named = sorted((number, word) for word, number in words.items()
                   if isinstance(word, str) and isinstance(number, int) and number >= FIRST_LABEL_TOKEN)
    if not named or [number for number, _ in named] != list(range(FIRST_LABEL_TOKEN, FIRST_LABEL_TOKEN + len(named))):
        return None
    return [word.strip().lower() for _, word in named]


def from_tokens(lists: Any, names: Sequence[str], path: str) -> np.ndarray:
    """[N, C] from a list of tokens a sample: start, a token a label, end."""
    lists = as_items(lists, path, "tgt")
    labels = np.zeros((len(lists), len(names)), np.float32)
    for sample, tokens in enumerate(lists):
        for token in as_numbers(tokens, path, "tgt").ravel():
            if token < FIRST_LABEL_TOKEN:
                continue
            if token != int(token) or token >= FIRST_LABEL_TOKEN + len(names):
                raise FormatError(path, f"label tokens up to {FIRST_LABEL_TOKEN + len(names) - 1} for the {len(names)} "
                                  f"labels {', '.join(names)}", f"{token} in sample {sample}", _REMEDY)
            labels[sample, int(token) - FIRST_LABEL_TOKEN] = 1
    return labels


def from_numbers(numbers: Sequence[Any], names: Sequence[str], path: str) -> np.ndarray:
    """[N, C] from the numbers 0 … C-1 of each sample's labels."""
    labels = np.zeros((len(numbers), len(names)), np.float32)
    for sample, row in enumerate(numbers):
        for number in as_numbers(row, path, "labels").ravel():
            if number != int(number) or not 0 <= number < len(names):
                raise FormatError(path, f"label numbers from 0 to {len(names) - 1}", f"{number} in sample {sample}", _REMEDY)
            labels[sample, int(number)] = 1
    return labels


def from_intensities(values: Any, names: Optional[Sequence[str]], threshold: float, path: str,
                     sentiment_first: bool = False) -> Tuple[np.ndarray, List[str]]:
    """[N, C] from a number a label: present where it is above the threshold. One column more than names is taken for
    CMU-MOSEI's, whose first is the sentiment, unless all are 0 or 1 and it is not known to be that."""
    array = as_numbers(values, path, "labels").astype(np.float64)
    array = array.reshape(len(array), -1)
    columns = array.shape[1]
    multi_hot = not sentiment_first and bool(np.isin(array, (0, 1)).all())
    if names is None:
        if columns not in (6, 7) or columns == 7 and multi_hot:
            raise FormatError(path, "six emotions, or a sentiment and six emotions", f"{columns} columns of labels",
                              "name them with --label-names")
        names = EMOTIONS
    if columns == len(names) + 1 and not multi_hot:
        array = array[:, 1:]
    elif columns != len(names):
        raise FormatError(path, f"a column for each of the {len(names)} labels {', '.join(names)}", f"{columns}", _REMEDY)
    return (np.nan_to_num(array, nan=-np.inf, neginf=-np.inf) > threshold).astype(np.float32), list(names)


def from_sentiment(values: Any, classes: int, path: str) -> np.ndarray:
    """[N, classes] of one 1 a sample, from a sentiment between −3 and 3."""
    sentiment = as_numbers(values, path, "labels").astype(np.float64)
    sentiment = sentiment.reshape(len(sentiment), -1)[:, 0]
    if not np.isfinite(sentiment).all():
        raise FormatError(path, "finite sentiments", "others", _REMEDY)
    if classes == 2:
        index = (sentiment >= 0).astype(int)
    elif classes == 3:
        index = np.sign(sentiment).astype(int) + 1
    else:
        index = np.rint(np.clip(sentiment, -3, 3)).astype(int) + 3
    return np.eye(classes, dtype=np.float32)[index]


def canonical_name(name: str) -> str:
    """One spelling for the names of a segment: `video[3]`, `video$_$3`."""
    match = re.fullmatch(r"(.*)(?:\[(\d+)\]|\$_\$(\d+))", name.strip())
    return f"{match[1]}[{int(match[2] or match[3])}]" if match else name.strip()


def video_of(name: str) -> str:
    """The video a segment belongs to."""
    match = re.fullmatch(r"(.*)\[\d+\]", canonical_name(name))
    return match[1] if match else canonical_name(name)


class NamedLabels:
    """Labels by the name of the sample."""

    def __init__(self, rows: Dict[str, np.ndarray], names: List[str], path: str) -> None:
        self._rows, self.names, self._path = rows, names, path

    def of(self, samples: Optional[List[str]], split: str) -> np.ndarray:
        if samples is None:
            raise FormatError(self._path, "samples with names to look labels up", f"none in split {split}",
                              "give labels in the order of the samples")
        missing = [s for s in samples if canonical_name(s) not in self._rows]
        if missing:
            raise FormatError(self._path, "labels for every sample", f"none for {len(missing)} of {len(samples)} of split "
                              f"{split}, first '{missing[0]}'", "check that the names in both files are alike")
        return np.stack([self._rows[canonical_name(s)] for s in samples])


def from_table(path: str, names: Optional[Sequence[str]], threshold: float) -> NamedLabels:
    """A CSV file: a column `id`, or `video_id` and `clip_id`, and a column a label with its name at the top."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, "a CSV file of labels", str(error), "check the path, or save it as UTF-8")
    columns = list(rows[0]) if rows else []
    keys = ["id"] if "id" in columns else ["video_id", "clip_id"]
    if any(k not in columns for k in keys):
        raise FormatError(path, "columns id, or video_id and clip_id, and the labels", ", ".join(map(str, columns)),
                          "name the columns in the first line")
    wanted = list(names) if names is not None else [e for e in EMOTIONS if e in columns]
    if not wanted or any(n not in columns for n in wanted):
        raise FormatError(path, f"a column for each of {', '.join(names or EMOTIONS)}", ", ".join(map(str, columns)),
                          "name the columns, or say which with --label-names")
    found: Dict[str, np.ndarray] = {}
    for number, row in enumerate(rows):
        name = row[keys[0]] if len(keys) == 1 else f"{row[keys[0]]}[{row[keys[1]]}]"
        try:
            values = np.array([float(row[n]) for n in wanted])
        except (TypeError, ValueError):
            raise FormatError(path, "numbers as labels", f"others in line {number + 2}", "mend the line")
        found[canonical_name(str(name))] = (values > threshold).astype(np.float32)
    return NamedLabels(found, wanted, path)
