"""Figures of runs as SVG that takes the page's colour for text and axes, so that one page is light and dark."""
import io
import re
import zlib
from typing import Any, Callable, Dict, List, Sequence, Tuple

import matplotlib
import numpy as np

matplotlib.use("svg")
from matplotlib.figure import Figure  # noqa: E402

from .judged_run import JudgedRun  # noqa: E402

# Told apart by most people who see colours otherwise, on white and on black (Okabe and Ito, lightened).
COLOURS = ("#0090d6", "#e68a00", "#00a878", "#d163a7", "#c8553d", "#8a7fd6", "#8c8c8c", "#b5a000", "#4fb0c6")
# Stands for the page's colour until the SVG is written.
_INK = "#010203"
_STYLE: Any = {"svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
          "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "text.color": _INK,
          "xtick.color": _INK, "ytick.color": _INK, "axes.titlesize": 11, "axes.titlelocation": "left", "legend.frameon": False,
          "legend.labelcolor": _INK, "figure.constrained_layout.use": True, "axes.facecolor": "none",
          "text.parse_math": False}                          # a label's name may have dollars
# Of what is drawn as an image within an SVG, dots an inch; a page's figures are shown about 1.4 times as large.
_RESOLUTION = 150


def svg(draw: Callable[[Figure], None], size: Tuple[float, float], title: str) -> str:
    """What `draw` draws, of so many inches, as an SVG element that fits its place."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=size)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", dpi=_RESOLUTION, transparent=True, metadata={"Date": None, "Title": title})
    found = text.getvalue()
    found = found[found.index("<svg"):].replace(_INK, "currentColor")
    # The width is the page's, within what keeps its letters readable; ids are one figure's own.
    width = f"min-width: {4 * size[0]:.1f}rem; max-width: {6.2 * size[0]:.1f}rem"
    found = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" style="{width}"', found, count=1)
    found = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", found, count=1)
    salt = f"{re.sub(r'[^a-z0-9]+', '-', title.lower())}-{zlib.crc32(title.encode()):x}"
    found = re.sub(r'(<image [^>]*?) id="[^"]*"', r"\1", found)               # the same for equal images
    found = re.sub(r'id="([^"]+)"', rf'id="{salt}-\1"', found)
    found = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{salt}-", found)
    return re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.S)


def losses(run: JudgedRun) -> str:
    """Each unweighted term of the loss, a small picture a term, means of a hundredth of the run."""
    steps = run.events("step")
    names = ["loss", *steps[0]["terms"]]
    values = {n: np.array([s["loss"] if n == "loss" else s["terms"][n] for s in steps], float) for n in names}
    at = np.array([s["step"] for s in steps])
    width = max(len(steps) // 100, 1)
    columns = 5
    rows = -(-len(names) // columns)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for axis, name in zip(axes, names):
            x, y = _means(at, width), _means(values[name], width)
            axis.plot(x, y, color=COLOURS[0], linewidth=1.4)
            axis.set_title(name.replace("_", " "))
            axis.tick_params(labelsize=8)
        for axis in list(axes)[len(names):]:
            axis.axis("off")
    return svg(draw, (11, 2.1 * rows), f"losses of {run.name}")


def phases(runs: Sequence[JudgedRun]) -> str:
    """What a step's time goes into, of each run that tells it: a bar a phase, the longest first, what is short together."""
    timed = [(run, run.phases) for run in runs if run.phases]
    shares = {name: max(seconds.get(name, 0.0) / max(sum(seconds.values()), 1e-12) for _, seconds in timed)
              for name in dict.fromkeys(name for _, seconds in timed for name in seconds)}
    names = sorted((name for name in shares if shares[name] >= 0.01), key=lambda name: -shares[name])
    others = ["all others"] if len(names) < len(shares) else []
    height = 0.8 / len(timed)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for i, (run, seconds) in enumerate(timed):
            whole = max(sum(seconds.values()), 1e-12)
            values = [seconds.get(name, 0.0) for name in names]
            if others:
                values.append(max(0.0, whole - sum(values)))
            at = np.arange(len(values)) + (i - (len(timed) - 1) / 2) * height
            bars = axis.barh(at, [1000 * v for v in values], height, color=COLOURS[i % len(COLOURS)],
                             label=f"{run.name}: {1000 * whole:.3g} ms a step")
            axis.bar_label(bars, [f"{1000 * v:.3g} ms, {v / whole:.1%}" for v in values], fontsize=7, padding=3, color=_INK)
        axis.set_yticks(range(len(names + others)), names + others, fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.2, y=0.02)
        axis.set_xlabel("ms of a step, the mean over workers")
        axis.legend(fontsize=8, loc="lower right")
    return svg(draw, (9, 0.9 + (0.12 + 0.16 * len(timed)) * (len(names) + 1)), "time by phase")


def _means(values: np.ndarray, width: int) -> np.ndarray:
    whole = len(values) // width * width
    return values[:whole].reshape(-1, width).mean(1) if whole else values


def validation(runs: Sequence[JudgedRun]) -> str:
    """Metrics of the validation split by epoch, of averaged weights dashed; the best epoch is marked."""
    metrics = [("micro_f1", "micro-F1"), ("macro_f1", "macro-F1"), ("mAP", "mAP"), ("accuracy", "accuracy")]

    def draw(figure: Figure) -> None:
        for axis, (key, label) in zip(figure.subplots(1, len(metrics)), metrics):
            for i, run in enumerate(runs):
                for weights, records in by_weights(run.epochs).items():
                    axis.plot([r["epoch"] for r in records], [r["metrics"][key] for r in records], color=COLOURS[i % len(COLOURS)],
                              linewidth=1.4, linestyle="--" if weights == "averaged" else "-",
                              label=f"{run.name}, {weights}" if weights else run.name, marker="." if len(records) < 40 else None)
                best = run.result["best_epoch"]
                axis.plot([best], [run.result["valid"][key]], "o", markersize=7, fillstyle="none", color=COLOURS[i % len(COLOURS)])
            axis.set_title(label)
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        if len(axis.lines) > 2:
            axis.legend(fontsize=8)
    return svg(draw, (11, 2.6), "validation")


def by_weights(records: Sequence[Dict[str, Any]]) -> Dict[str, List[Dict[str, Any]]]:
    """Evaluations of a run with averaged weights by `live` and `averaged`; of another run all of them under ""."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record.get("weights", ""), []).append(record)
    return found


def precision_recall(run: JudgedRun) -> str:
    """Each label's curve over all thresholds; the dot is the run's threshold, the diamond the tuned one."""
    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for i, (name, scores, truth) in enumerate(zip(run.label_names, run.scores.T, run.truth.T)):
            if not truth.any():
                continue
            order = np.argsort(-scores, kind="stable")
            hits = np.cumsum(truth[order])
            # Equal scores are taken together; nothing found yet is no point.
            last = np.r_[np.diff(scores[order]) != 0, True] & (hits > 0)
            precision, recall = (hits / np.arange(1, len(hits) + 1))[last], (hits / truth.sum())[last]
            colour = COLOURS[i % len(COLOURS)]
            axis.step(np.r_[0, recall], np.r_[precision[0], precision], where="pre", color=colour, linewidth=1.4, label=name,
                      linestyle=("-", "--", ":")[i // len(COLOURS) % 3])
            for labels, marker in ((run.evaluation["labels"], "o"), (run.evaluation["tuned"]["labels"], "D")):
                axis.plot([labels[i]["recall"]], [labels[i]["precision"]], marker, color=colour, markersize=6)
        axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return svg(draw, (7, 4), f"precision and recall of {run.name}")


def co_occurrence(run: JudgedRun) -> str:
    """How often a label comes with another: of the samples that have the row's, the share that have the column's."""
    tables = [("truth", run.truth), ("predicted", run.predicted.astype(float))]

    def draw(figure: Figure) -> None:
        for axis, (title, rows) in zip(figure.subplots(1, 2), tables):
            counts = rows.T @ rows
            shares = counts / np.maximum(np.diag(counts), 1)[:, None]
            axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            axis.set_title(title)
            axis.set_xticks(range(len(run.label_names)), run.label_names, rotation=45, ha="right", fontsize=8)
            axis.set_yticks(range(len(run.label_names)), run.label_names, fontsize=8)
            if len(run.label_names) <= 12:
                for (i, j), share in np.ndenumerate(shares):
                    axis.text(j, i, f"{share:.2f}", ha="center", va="center", fontsize=7, color="#fff" if share > 0.5 else "#000")
    return svg(draw, (9, 4), f"co-occurrence of {run.name}")
