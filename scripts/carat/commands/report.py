"""One HTML page of finished runs, which needs nothing else: validation by epoch, each label's precision and recall, thresholds,
labels that come together, all terms of the loss, settings; several runs compared. Their test splits are scored anew."""
import os
from typing import Optional, Sequence

from ..errors import CANNOT_CREATE, OutputError, UsageError, one_line
from ..program import Parser, need, result


def parser() -> Parser:
    p = Parser(description=__doc__)
    p.add_argument("runs", nargs="+", metavar="RUN", help="the --output directory of a finished run")
    p.add_argument("--output", "-o", required=True, metavar="FILE.html", help="where the page goes")
    p.add_argument("--force", action="store_true", help="replace what is there")
    return p


def names_of(paths: Sequence[str]) -> Sequence[str]:
    """The last parts of paths, as many as tell them apart."""
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise UsageError("the same run is named twice")


def main(arguments: Optional[Sequence[str]]) -> None:
    a = parser().parse_args(arguments)
    need("numpy", "matplotlib")
    if os.path.exists(a.output) and not a.force:
        raise OutputError(f"{a.output}: there is something in it already; --force replaces it", CANNOT_CREATE)
    from ..reporting.judged_run import judge
    from ..reporting.page import page
    from ..runs import Run
    judged = [judge(Run(path), name) for path, name in zip(a.runs, names_of(a.runs))]
    text = page(judged)
    temporary = f"{a.output}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, a.output)
    except OSError as error:
        raise OutputError(f"{a.output}: {error.strerror}; choose another --output", CANNOT_CREATE)
    result(one_line(a.output))
