"""Figures of prototypes, latents and attention. Points of latents are an image within the SVG: thousands of elements would
make a page slow and large."""
import base64
import io
import re
from typing import Any

import numpy as np
from PIL import Image

from .figures import COLOURS, Figure, svg
from .judged_run import JudgedRun
from .latents import Example, Latents, cosines, project

_SOFT = "#8c8c8c"
# Columns of labels side by side; more go into rows below.
_COLUMNS = 9
# Once all colours are taken.
_MARKERS = ("o", "^", "s", "v")
POLARITIES = ("has the label", "has not")


def prototypes(run: JudgedRun, latents: Latents) -> str:
    """Cosines of the labels' positive prototypes, a heat map a modality; at the right with each label's negative one."""
    names = run.label_names
    count = len(names)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(latents.prototypes), squeeze=False)[0]
        for k, (axis, (modality, own)) in enumerate(zip(axes, latents.prototypes.items())):
            values = cosines(own)
            # An empty column keeps the last one apart.
            shown = np.c_[values[:, :count], np.full(count, np.nan), values[:, count]]
            image = axis.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_title(modality)
            axis.spines[:].set_visible(False)
            axis.set_xticks([*range(count), count + 1], [*names, "its negative"], rotation=45, ha="right", fontsize=8)
            axis.set_yticks(range(count), names if k == 0 else [""] * count, fontsize=8)
            if count <= 12:
                for (i, j), value in np.ndenumerate(shown):
                    if j != count:
                        text = f"{value:.2f}" if np.isfinite(value) else "none"
                        colour: Any = "#fff" if abs(value) > 0.6 else "#000" if np.isfinite(value) else axis.xaxis.label.get_color()
                        axis.text(j, i, text, ha="center", va="center", fontsize=7 if count <= 6 else 5.5, color=colour)
        figure.colorbar(image, ax=axes, shrink=0.9, aspect=30).outline.set_visible(False)
    number = len(latents.prototypes)
    return svg(draw, (1.8 + 3.05 * number, 1.1 + 2.85 * count / (count + 2)), f"prototypes of {run.name}")


def overview(run: JudgedRun, latents: Latents) -> str:
    """All latents on the same two axes, coloured by modality, by label and by polarity."""
    modalities = list(latents.latents)
    rows = np.stack(list(latents.latents.values()))                          # [M, n, C, P]
    projection = project(rows.reshape(-1, rows.shape[-1]))
    points = projection.of(rows.reshape(-1, rows.shape[-1]))
    which = np.indices(rows.shape[:3]).reshape(3, -1)
    absent = 1 - np.broadcast_to(latents.truth > 0, rows.shape[:3]).reshape(-1).astype(int)
    # None lies on top of all others because of its place in the data.
    order = np.random.default_rng(0).permutation(len(points))
    groups = [("by modality", which[0], modalities), ("by label", which[2], run.label_names), ("by polarity", absent, POLARITIES)]

    def draw(figure: Figure) -> None:
        for axis, (title, group, names) in zip(figure.subplots(1, 3), groups):
            shown = points[order], group[order]
            for turn in range(-(-len(names) // len(COLOURS))):
                own = shown[1] // len(COLOURS) == turn
                _points(axis, shown[0][own], np.array(COLOURS)[shown[1][own] % len(COLOURS)], _MARKERS[turn % len(_MARKERS)])
            for i, name in enumerate(names):
                axis.plot([], [], _MARKERS[i // len(COLOURS) % len(_MARKERS)], color=COLOURS[i % len(COLOURS)], markersize=5, label=name)
            axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=min(3, len(names)), handletextpad=0.1,
                        columnspacing=1)
            axis.set(title=title, xlabel=_share(projection.shares[0]), ylabel=_share(projection.shares[1]), xticks=[], yticks=[])
            axis.set_aspect("equal", "datalim")
    return _smaller(svg(draw, (11, 4.1), f"latents of {run.name}"))


def polarities(run: JudgedRun, latents: Latents) -> str:
    """Each label's latents in each modality, on two axes of their own, and both prototypes."""
    names, modalities = run.label_names, list(latents.latents)
    columns = min(len(names), _COLUMNS)
    blocks = -(-len(names) // columns)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(blocks * len(modalities), columns, squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for i, name in enumerate(names):
            for k, modality in enumerate(modalities):
                axis = axes[i // columns * len(modalities) + k, i % columns]
                axis.axis("on")
                rows, both = latents.latents[modality][:, i], latents.prototypes[modality][:, i]
                projection = project(rows, towards=both[0] - both[1])
                points, has = projection.of(rows), latents.truth[:, i] > 0
                _points(axis, points, np.where(has, COLOURS[0], COLOURS[1]))
                for (x, y), colour in zip(projection.of(both), COLOURS[:2]):
                    axis.plot([x], [y], "D", color=colour, markersize=6, markeredgecolor=_SOFT)
                axis.set(xticks=[], yticks=[])
                axis.set_xlabel(f"{projection.shares.sum():.0%}" if projection.shares.any() else "all alike", fontsize=8, labelpad=2)
                if k == 0:
                    axis.set_title(name, fontsize=9)
                if i % columns == 0:
                    axis.set_ylabel(modality)
    height = 0.1 + blocks * len(modalities) * (0.4 + 9.5 / max(columns, 6))
    return _smaller(svg(draw, (11, height), f"polarities of {run.name}"))


def attention(run: JudgedRun, example: Example) -> str:
    """One sample's attention for one label over the time steps of each modality; the winner's is filled."""
    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(example.attention), squeeze=False)[0]
        for axis, (modality, weights) in zip(axes, example.attention.items()):
            won = modality == example.winner
            edges = np.arange(len(weights) + 1) - 0.5                        # a step is as wide as the others, around its number
            if won:
                axis.stairs(weights, edges, fill=True, color=COLOURS[0], alpha=0.35)
            if len(weights):
                axis.stairs(weights, edges, color=COLOURS[0] if won else _SOFT, linewidth=1.2)
                axis.axhline(1 / len(weights), color=_SOFT, linewidth=0.8, linestyle=":")
            axis.set_title(f"{modality} won" if won else modality, fontsize=9, fontweight="bold" if won else "normal")
            axis.set_ylim(bottom=0)
            axis.tick_params(labelsize=7)
            axis.locator_params(axis="y", nbins=3)
            axis.xaxis.get_major_locator().set_params(integer=True)
    return svg(draw, (11, 1.35), f"attention of {run.name} to {example.label}")


def _points(axis: Any, points: np.ndarray, colours: np.ndarray, marker: str = "o") -> None:
    """As an image, which has colours of its own: nothing of the page's colour may be in it."""
    axis.scatter(*points.T, c=colours, s=4 if len(points) > 100 else 10, linewidths=0, alpha=0.6, marker=marker, rasterized=True)


def _smaller(figure: str) -> str:
    """The same with the images of points in 64 colours, which takes a quarter of the bytes."""
    def fewer(found: "re.Match[str]") -> str:
        image = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGBA")
        file = io.BytesIO()
        image.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", fewer, figure)


def _share(share: float) -> str:
    return f"{share:.0%} of the variance"
