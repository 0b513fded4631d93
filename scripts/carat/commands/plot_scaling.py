"""Draws what train scale measured and emulated: speed-up and efficiency beside the ideal, as scaling.png and scaling.svg; with
--predict also larger machines, as predicted.png and predicted.svg. docs/SCALING.md tells of the model."""
import os
from typing import Any, Optional, Sequence

from ..errors import OutputError, UsageError, one_line
from ..program import Parser, need, result
from ..scaling import options, records


def parser() -> Parser:
    p = Parser(description=__doc__)
    options.add(p)
    p.add_argument("--output", metavar="DIR", help="where the figures go; by default beside the first records")
    p.add_argument("--predict", action="store_true", help="draw the predicted machines too")
    return p


def save(figure: Any, directory: str, name: str) -> None:
    for ending in ("png", "svg"):
        path = os.path.join(directory, f"{name}.{ending}")
        try:
            os.makedirs(directory, exist_ok=True)
            figure.savefig(path, dpi=130)
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}; choose another --output") from None
        result(one_line(path))


def main(arguments: Optional[Sequence[str]]) -> None:
    a = parser().parse_args(arguments)
    need("numpy", "matplotlib")
    from ..scaling import figures
    found = records.gather(a.records)
    first = a.records[0]
    directory = a.output or (first if os.path.isdir(first) else os.path.dirname(first) or ".")
    save(figures.draw_measured(found.measurements, found.emulated), directory, "scaling")
    if a.predict:
        try:
            figure = figures.draw_predicted(
                found.emulated, options.batches(a.batches, found.emulated), a.nodes, a.cores, a.machines, a.samples)
        except LookupError as error:
            raise UsageError(f"{error.args[0]} was not emulated: give the --output of train scale --emulate 1,…") from None
        save(figure, directory, "predicted")
