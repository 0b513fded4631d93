"""Labels in a table of text (CSV, TSV): a row a sample; a column `id`, or `video_id` and `clip_id`; a column a label."""
import csv
from typing import Dict, List, Tuple

import numpy as np

from ..errors import FormatError, Problems
from .dataset import SPLIT_NAMES, Options
from .labels import SENTIMENT, from_values
from .mapped import refuse_stand_in
from .pairing import LabelTable

SUFFIXES = (".csv", ".tsv", ".txt")
# MMSA's and others' columns that are no labels. `label` is MMSA's sentiment.
_SENTIMENTS = (SENTIMENT, "label")
_OTHERS = ("id", "video_id", "clip_id", "text", "annotation", "mode", "label_T", "label_A", "label_V", "label_by", "")


def read(path: str, options: Options) -> LabelTable:
    """The rows by the names of their samples."""
    rows, lines, columns = _rows(path)
    keys = ["id"] if "id" in columns else ["video_id", "clip_id"]
    if any(k not in columns for k in keys):
        raise FormatError(path, "columns id, or video_id and clip_id, and the labels", ", ".join(map(str, columns)),
                          "name the columns in the first line")
    places = [f"line {line}" for line in lines]
    sentiments = [c for c in _SENTIMENTS if c in columns and c not in (options.label_names or [])]
    wanted = _label_columns(columns, options, sentiments, path)
    sentiment = _numbers(rows, sentiments[:1], path, places)[:, 0] if sentiments and not options.one_hot else None
    names = [row[keys[0]] if len(keys) == 1 else f"{row[keys[0]]}[{row[keys[1]]}]" for row in rows]
    modes = [next((s for s, known in SPLIT_NAMES.items() if str(row["mode"]).lower() in known), "") for row in rows] \
        if "mode" in columns else None
    if options.one_hot:
        if len(wanted) != 1:
            raise FormatError(path, "one column of classes for --one-hot", ", ".join(wanted), "leave the others out")
        cells = [row[wanted[0]] for row in rows]
        try:
            values = np.array([[float(cell)] for cell in cells])
        except (TypeError, ValueError):
            values = np.array(cells, object)
        labels = from_values(values, options, path, lambda row: places[row])
    else:
        numbers = _numbers(rows, wanted, path, places) if wanted else sentiment
        if numbers is None:
            raise FormatError(path, "columns of labels", ", ".join(columns), "name them in the first line")
        labels = from_values(numbers, options, path, lambda row: places[row], wanted or [SENTIMENT], sentiment, modes)
    return LabelTable(path, labels, places, {"": [str(n) for n in names]}, modes, notes=labels.notes)


def _rows(path: str) -> Tuple[List[Dict[str, str]], List[int], List[str]]:
    refuse_stand_in(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max("\t,;", key=first.count))
            rows: List[Dict[str, str]] = []
            lines: List[int] = []
            for row in reader:
                rows.append(row)
                lines.append(reader.line_num)
            columns = [str(c).strip() for c in reader.fieldnames or []]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, "a table of labels", str(error), "check the path, or save it as CSV in UTF-8")
    if not rows or len(set(columns)) != len(columns):
        raise FormatError(path, "a first line of different names, then a row a sample",
                          f"{len(rows)} rows with columns {', '.join(columns)}",
                          "save it as CSV, with the columns' names at the top")
    other = [line for row, line in zip(rows, lines) if None in row or None in row.values()]
    if other:
        raise FormatError(path, f"{len(columns)} cells in every line",
                          f"another number in line{'s' * (len(other) > 1)} {', '.join(map(str, other[:20]))}"
                          + (f" and {len(other) - 20} more" if len(other) > 20 else ""), "mend them")
    return [dict(zip(columns, row.values())) for row in rows], lines, columns


def _label_columns(columns: List[str], options: Options, sentiments: List[str], path: str) -> List[str]:
    if options.label_names is None or options.one_hot or options.sentiment_classes is not None:
        wanted = [c for c in columns if c not in _OTHERS and c not in sentiments]
        if options.one_hot and not wanted:
            wanted = sentiments[:1]
        if not wanted and options.sentiment_classes is None:
            raise FormatError(path, "columns of labels", ", ".join(columns), "add them, or use --sentiment-classes")
        return wanted if options.sentiment_classes is None else []
    wanted = [name for name in options.label_names if name != SENTIMENT]
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise FormatError(path, f"a column for each of {', '.join(wanted)}", ", ".join(columns),
                          "name the columns, or say which with --label-names")
    return wanted


def _numbers(rows: List[Dict[str, str]], columns: List[str], path: str, places: List[str]) -> np.ndarray:
    values = np.empty((len(rows), len(columns)))
    problems = Problems()
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            try:
                values[i, j] = float(row[column])
            except ValueError:
                with problems.collected():
                    raise FormatError(path, f"numbers as '{column}'", f"'{row[column]}' in {places[i]}",
                                      "mend the line; or say which columns are labels with --label-names") from None
    problems.tell()
    return values
