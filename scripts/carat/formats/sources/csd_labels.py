"""The labels of computational sequences: the rows of a video are its segments, each with its interval."""
from typing import List

import numpy as np

from ...errors import FormatError, Problems
from ..dataset import Options
from ..labels import SENTIMENT, from_values
from ..pairing import LabelTable
from ..sample_ids import canonical, parts, video_of
from .csd_file import CsdFile


def open_file(path: str) -> CsdFile:
    return CsdFile(path)


def read(file: CsdFile, options: Options) -> LabelTable:
    """A row a segment. The SDK numbers segments by their rows, others by time, or from 1."""
    names: List[str] = []
    by_time: List[str] = []
    rows: List[np.ndarray] = []
    spans: List[np.ndarray] = []
    places: List[str] = []
    problems = Problems()
    for name in file.names:
        order = None
        with problems.collected():
            file.count(name)
            order = file.order(name)
        if order is None:
            continue
        for rank in np.argsort(order, kind="stable"):                        # the rows as they are in the file
            row = int(order[rank])
            single = parts(name)[1] is not None and len(order) == 1
            names.append(canonical(name) if single else f"{name}[{row}]")
            by_time.append(canonical(name) if single else f"{name}[{rank}]")
            places.append(f"row {row} of '{name}'")
            rows.append(file.features(name)[rank])
            spans.append(file.intervals(name)[rank])
    problems.tell()
    if len({len(row) for row in rows}) != 1:
        raise FormatError(file.path, "labels with one number of columns", "others", "fetch the file again")
    values = np.stack(rows)
    columns = file.dimension_names()
    if columns is not None and len(columns) != values.shape[1]:
        raise FormatError(file.path, f"a name for each of {values.shape[1]} columns of labels", ", ".join(columns),
                          "fetch the file again")
    labels = from_values(values, options, file.path, lambda row: places[row], columns)
    numberings = {"counted by rows": names}
    if by_time != names:
        numberings["counted in the order of time"] = by_time
    numberings["counted by rows, from 1"] = _from_one(names)
    if by_time != names:
        numberings["counted in the order of time, from 1"] = _from_one(by_time)
    notes = labels.notes
    if columns is not None and SENTIMENT in columns:
        notes = notes + [f"labels: columns as the file names them: {', '.join(columns)}"]
    return LabelTable(file.path, labels, places, numberings, spans=np.stack(spans), notes=notes)


def _from_one(names: List[str]) -> List[str]:
    return [f"{video_of(name)}[{(parts(name)[1] or 0) + 1}]" for name in names]
