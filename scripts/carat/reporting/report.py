"""Finished runs as a file to look at."""
import os
from typing import Sequence

from .. import durable
from ..errors import CANNOT_CREATE, OutputError, UsageError
from ..runs import Run
from .judged_run import judge
from .page import page


def names_of(paths: Sequence[str]) -> Sequence[str]:
    """The last parts of paths, as many as tell them apart."""
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise UsageError("the same run is named twice")


def write_report(runs: Sequence[Run], output: str, force: bool = False) -> None:
    """Scores the runs' test splits anew and writes a page of them.

    Args:
        force: whether what is there is replaced.
    """
    if os.path.exists(output) and not force:
        raise OutputError(f"{output}: there is something in it already; --force replaces it", CANNOT_CREATE)
    text = page([judge(run, name) for run, name in zip(runs, names_of([run.path for run in runs]))])
    durable.write(output, text)
