"""The figures of scripts/plot-scaling: what was measured beside the ideal, what was emulated, and predicted machines."""
from typing import Any, Dict, List, Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from . import cost_model  # noqa: E402
from .records import Record  # noqa: E402


def panels(measurements: Sequence[Record], emulated: Sequence[Record]) -> Dict[str, List[Record]]:
    """What has a base in common, by its title: one way of scaling of one batch."""
    found: Dict[str, List[Record]] = {}
    for m in measurements:
        is_weak = m["mode"] == "weak"
        batch = m["batch_size"] // (m["workers"] if is_weak else 1)
        found.setdefault(f"{m['mode']}, batch {batch}" + (" a worker" if is_weak else ""), []).append(m)
    for p in emulated:
        found.setdefault(f"strong, batch {p['batch_size']}", [])
    return found


def configurations(measurements: Sequence[Record]) -> List[List[Record]]:
    """The rounds of each configuration, in rising order of ranks and workers."""
    found: Dict[Any, List[Record]] = {}
    for m in sorted(measurements, key=lambda m: (m["ranks"], m["workers"])):
        found.setdefault((m["ranks"], m["workers"]), []).append(m)
    return list(found.values())


def speedups(own: Sequence[Record], base: Sequence[Record]) -> List[float]:
    """Ratios of samples per second: of the same round where both were measured in turn, in one run."""
    middle = float(np.median([m["samples_per_second"] for m in base]))
    rounds = {m["round"]: m["samples_per_second"] for m in base} if own[0]["ranks"] == base[0]["ranks"] else {}
    return [m["samples_per_second"] / rounds.get(m["round"], middle) for m in own]


def two_rows(columns: int) -> Any:
    return plt.subplots(2, columns, figsize=(4.2 * columns, 6.4), squeeze=False, layout="constrained")


def label(above: Any, below: Any, title: str, workers: Any) -> None:
    below.set_ylim(0, 1.2)
    above.set_title(title)
    above.set_ylabel("speed-up (samples per second)")
    below.set_ylabel("efficiency")
    below.set_xlabel("workers")
    above.legend()
    for axis in (above, below):
        if workers[-1] > 8 * workers[0]:
            axis.set_xscale("log", base=2)
        axis.set_xticks(workers, [str(w) for w in workers])
        axis.grid(alpha=0.3)
    if workers[-1] > 8 * workers[0]:
        above.set_yscale("log", base=2)


def draw_measured(measurements: Sequence[Record], emulated: Sequence[Record]) -> Any:
    """A column for each panel, speed-up above, efficiency below; points of each number of ranks, a line of what was emulated."""
    columns = panels(measurements, emulated)
    figure, axes = two_rows(len(columns))
    for (title, group), (above, below) in zip(columns.items(), axes.T):
        points = sorted((p for p in emulated if title == f"strong, batch {p['batch_size']}"), key=lambda p: p["workers"])
        workers = np.array(sorted({m["workers"] for m in group} | {p["workers"] for p in points}))
        every = configurations(group)
        base = min(every, key=lambda own: (own[0]["workers"], own[0]["ranks"])) if every else []
        fewest = base[0]["workers"] if base else 1
        above.plot(workers, workers / fewest, "k--", linewidth=1, label="ideal")
        below.axhline(1, color="k", linestyle="--", linewidth=1)
        for place, ranks in enumerate(sorted({m["ranks"] for m in group})):
            series = [own for own in every if own[0]["ranks"] == ranks]
            x = np.array([own[0]["workers"] for own in series])
            ratios = [speedups(own, base) for own in series]
            middle = np.array([np.median(r) for r in ratios])
            reach = np.array([[np.median(r) - min(r), max(r) - np.median(r)] for r in ratios]).T
            for axis, scale in ((above, 1), (below, x / fewest)):
                axis.errorbar(x, middle / scale, reach / scale, fmt="osD^v<>"[place % 7], capsize=3, color=f"C{place}",
                              label=("1 rank" if ranks == 1 else f"{ranks} ranks") + ", measured")
        if points:
            x, ratio = np.array([p["workers"] for p in points]), np.array([p["speedup"] for p in points])
            above.plot(x, ratio, "x-", color="C7", label="emulated")
            below.plot(x, ratio / x, "x-", color="C7")
        label(above, below, title, workers)
    return figure


def draw_predicted(emulated: Sequence[Record], batches: Sequence[int], nodes: int, cores: int, machines: int, samples: int) -> Any:
    """A column for each batch: one core, one machine, all."""
    figure, axes = two_rows(len(batches))
    for batch, (above, below) in zip(batches, axes.T):
        points = cost_model.predictions(emulated, batch, nodes, cores, machines, samples)
        workers = np.array([1] + [p.machine.workers for p in points[1:]])
        middle, low, high = np.array([p.speedup(points[0]) for p in points]).T
        for axis, scale in ((above, 1), (below, workers)):
            axis.plot(workers, workers / scale, "k--", linewidth=1, label="ideal")
            axis.plot(workers, middle / scale, "o-", label="predicted")
            axis.fill_between(workers, low / scale, high / scale, alpha=0.25, label="5 to 95 %")
        label(above, below, f"predicted: batch {batch}, {nodes} × {cores} cores, {machines} machines", list(workers))
    return figure
