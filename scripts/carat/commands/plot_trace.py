"""Draws the timeline that train bench --trace wrote, a row a worker, as a PNG or SVG picture: a step's phases, what each worker does in
them, and where it waits at barriers. Perfetto opens the same file and zooms."""
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ..errors import FormatError, OutputError, one_line
from ..program import Parser, need, result


class Span(NamedTuple):
    worker: int
    name: str
    start: float  # milliseconds
    duration: float


def parser() -> Parser:
    p = Parser(description=__doc__)
    p.add_argument("trace", help="the file of train bench --trace")
    p.add_argument("--output", metavar="FILE", help="a .png or .svg file; by default beside the trace, as PNG")
    return p


def read(path: str) -> List[Span]:
    """The spans, the outer ones first, without those that others fill: of 'encoders forward' what each encoder took is told."""
    try:
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        spans = [Span(e["tid"], e["name"], e["ts"] / 1000, e["dur"] / 1000) for e in events if e["ph"] == "X"]
    except OSError as error:
        raise FormatError(path, "a timeline of train bench --trace", error.strerror or "an error", "give its path") from None
    except (ValueError, KeyError, TypeError):
        raise FormatError(path, "a timeline of train bench --trace", "another file", "give the file that --trace named") from None
    if not spans:
        raise FormatError(path, "spans of workers", "none", "time a step: train bench --timed-steps 1 --trace FILE")
    kept = [s for s in spans if sum(o.duration for o in spans if holds(s, o)) < 0.9 * s.duration]
    return sorted(kept, key=lambda s: -s.duration)


def holds(outer: Span, inner: Span) -> bool:
    """Whether one of a worker's spans lies within another."""
    return (outer is not inner and outer.worker == inner.worker and outer.duration > inner.duration
            and outer.start <= inner.start and inner.start + inner.duration <= outer.start + outer.duration)


def draw(spans: List[Span]) -> Any:
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    totals: Dict[str, float] = {}
    for span in spans:
        totals[span.name] = totals.get(span.name, 0) + span.duration
    workers = sorted({s.worker for s in spans})
    names = [name for name in dict.fromkeys(s.name for s in sorted(spans, key=lambda s: s.start)) if name != "wait"]
    # Of the map's twenty colours two are grey.
    choice = [i for i in range(20) if i not in (14, 15)]
    colours = {name: pyplot.get_cmap("tab20")(choice[i % len(choice)]) for i, name in enumerate(names)}
    colours["wait"] = (0.85, 0.85, 0.85, 1)
    figure, axes = pyplot.subplots(figsize=(11, 2.2 + 0.4 * len(workers)), layout="constrained")
    for name in [*names, "wait"]:
        if name not in totals:
            continue
        own = [s for s in spans if s.name == name]
        outer = any(holds(s, o) for s in own for o in spans)
        for worker in workers:
            axes.broken_barh([(s.start, s.duration) for s in own if s.worker == worker], (workers.index(worker) - 0.42, 0.84),
                             facecolors=colours[name], edgecolors="none", zorder=1 if outer else 2)
        axes.bar(0, 0, color=colours[name], label=f"{name} ({totals[name] / len(workers):.3g} ms)")
    axes.set_yticks(range(len(workers)), [f"worker {w}" for w in workers])
    axes.set_ylim(len(workers) - 0.5, -0.5)
    axes.set_xlim(0, max(s.start + s.duration for s in spans))
    axes.set_xlabel("ms; in brackets each phase's mean over the workers")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def main(arguments: Optional[Sequence[str]]) -> None:
    a = parser().parse_args(arguments)
    need("matplotlib")
    path = a.output or os.path.splitext(a.trace)[0] + ".png"
    figure = draw(read(a.trace))
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: {getattr(error, 'strerror', None) or error}; choose another --output") from None
    result(one_line(path))
