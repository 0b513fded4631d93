"""One HTML page of finished runs, which needs nothing else: validation by epoch, each label's precision and recall, thresholds,
labels that come together, all terms of the loss, prototypes, latents, attention over time, audits, settings; several runs
compared. Their test splits are scored anew."""
from typing import Optional, Sequence

from ..errors import one_line
from ..program import Parser, need, result


def parser() -> Parser:
    p = Parser(description=__doc__)
    p.add_argument("runs", nargs="+", metavar="RUN", help="the --output directory of a finished run")
    p.add_argument("--output", "-o", required=True, metavar="FILE.html", help="where the page goes")
    p.add_argument("--force", action="store_true", help="replace what is there")
    return p


def main(arguments: Optional[Sequence[str]]) -> None:
    a = parser().parse_args(arguments)
    need("numpy", "matplotlib", "safetensors")
    from ..reporting.report import write_report
    from ..runs import Run
    write_report([Run(path) for path in a.runs], a.output, force=a.force)
    result(one_line(a.output))
