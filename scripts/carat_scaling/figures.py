"""The figures of scripts/plot-scaling: what was measured beside the ideal and the model, and predicted machines."""
from typing import Any, Dict, List

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from . import cost_model, prediction  # noqa: E402

Measurements = List[Dict[str, Any]]


def panels(measurements: Measurements) -> Dict[str, Measurements]:
    """Measurements that have a base in common, by their title: one way of scaling of one batch in so many shards."""
    def batch(m: Dict[str, Any]) -> int:
        return m["batch_size"] // (m["workers"] if m["mode"] == "weak" else 1)

    shards: Dict[Any, set] = {}
    for m in measurements:
        shards.setdefault((m["mode"], batch(m)), set()).add(m["shards"])
    found: Dict[str, Measurements] = {}
    for m in measurements:
        title = f"{m['mode']}, batch {batch(m)}" + (" a worker" if m["mode"] == "weak" else "")
        if m["mode"] == "strong" and len(shards[m["mode"], batch(m)]) > 1:
            title += f", {m['shards']} shards"
        found.setdefault(title, []).append(m)
    return found


def configurations(measurements: Measurements) -> List[Measurements]:
    """The rounds of each configuration, in rising order of ranks and workers."""
    found: Dict[Any, Measurements] = {}
    for m in sorted(measurements, key=lambda m: (m["ranks"], m["workers"])):
        found.setdefault((m["ranks"], m["workers"]), []).append(m)
    return list(found.values())


def speedups(own: Measurements, base: Measurements) -> List[float]:
    """Ratios of samples a second: of the same round where both were measured in turn, in one run."""
    middle = float(np.median([m["samples_per_second"] for m in base]))
    rounds = {m["round"]: m["samples_per_second"] for m in base} if own[0]["ranks"] == base[0]["ranks"] else {}
    return [m["samples_per_second"] / rounds.get(m["round"], middle) for m in own]


def draw_measured(measurements: Measurements) -> Any:
    """A column for each panel, speed-up above, efficiency below; points and a line of the model for each number of ranks."""
    constants = cost_model.fit(measurements)
    columns = panels(measurements)
    figure, axes = plt.subplots(2, len(columns), figsize=(4.2 * len(columns), 6.4), squeeze=False, layout="constrained")
    for (title, group), (above, below) in zip(columns.items(), axes.T):
        all_configurations = configurations(group)
        base = min(all_configurations, key=lambda own: (own[0]["workers"], own[0]["ranks"]))
        fewest = base[0]["workers"]
        modelled_base = base[0]["batch_size"] / cost_model.as_measured(constants, base)
        workers = np.array(sorted({m["workers"] for m in group}))
        above.plot(workers, workers / fewest, "k--", linewidth=1, label="ideal")
        below.axhline(1, color="k", linestyle="--", linewidth=1)
        for place, ranks in enumerate(sorted({m["ranks"] for m in group})):
            series = [own for own in all_configurations if own[0]["ranks"] == ranks]
            x = np.array([own[0]["workers"] for own in series])
            ratios = [speedups(own, base) for own in series]
            middle = np.array([np.median(r) for r in ratios])
            reach = np.array([[np.median(r) - min(r), max(r) - np.median(r)] for r in ratios]).T
            modelled = np.array([own[0]["batch_size"] / cost_model.as_measured(constants, own) for own in series])
            modelled /= modelled_base
            name = "1 rank" if ranks == 1 else f"{ranks} ranks"
            for axis, scale in ((above, 1), (below, x / fewest)):
                axis.errorbar(x, middle / scale, reach / scale, fmt="osD^v<>"[place % 7], capsize=3, color=f"C{place}",
                              label=f"{name}, measured")
                axis.plot(x, modelled / scale, "-" if len(x) > 1 else "x", color=f"C{place}", alpha=0.6, label=f"{name}, model")
        below.set_ylim(0, 1.2)
        above.set_title(title)
        above.set_ylabel("speed-up (samples a second)")
        below.set_ylabel("efficiency")
        below.set_xlabel("workers")
        above.legend()
        for axis in (above, below):
            if workers[-1] > 8 * workers[0]:
                axis.set_xscale("log", base=2)
            axis.set_xticks(workers, [str(w) for w in workers])
            axis.grid(alpha=0.3)
    return figure


def draw_predicted(a: Any, measurements: List[Dict[str, Any]]) -> Any:
    constants, drawn = cost_model.fit(measurements), cost_model.bootstrap(measurements, a.samples)
    where = prediction.layouts(a.nodes, a.cores, a.machines)
    figure, axes = plt.subplots(2, len(a.batches), figsize=(4.2 * len(a.batches), 6.4), squeeze=False, layout="constrained")
    for (batch, shards), (above, below) in zip(a.batches, axes.T):
        points = prediction.curve(measurements, constants, drawn, batch, shards, where)
        workers = np.array([p.layout.workers for p in points])
        middle, low, high = np.array([p.speedup(points[0]) for p in points]).T
        for axis, scale in ((above, 1), (below, workers)):
            axis.plot(workers, workers / scale, "k--", linewidth=1, label="ideal")
            axis.plot(workers, middle / scale, "o-", label="predicted")
            axis.fill_between(workers, low / scale, high / scale, alpha=0.25, label="5 to 95 %")
            axis.axvline(a.nodes * a.cores, color="gray", linestyle=":", linewidth=1, label="one machine")
            axis.set_xscale("log", base=2)
            axis.grid(alpha=0.3)
        above.set_yscale("log", base=2)
        above.set_title(f"predicted: batch {batch}, {shards} shards")
        above.set_ylabel("speed-up over one core")
        below.set_ylim(0, 1.2)
        below.set_ylabel("efficiency")
        below.set_xlabel(f"workers ({a.nodes} × {a.cores} cores, {a.machines} machines)")
    axes[0][0].legend()
    return figure
