"""Predicted times of machines that were not measured, with the uncertainty of constants and assumptions."""
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from . import cost_model
from .cost_model import Constants, Load


class Layout(NamedTuple):
    """Where a step runs: workers and ranks over machines of so many NUMA nodes with so many cores each."""
    workers: int
    ranks: int
    nodes: int
    cores: int
    machines: int


class Point(NamedTuple):
    """Seconds a step with every assumption at its middle, by what takes them, and with each draw of constants and
    assumptions; the draws of all points are of the same machines."""
    layout: Layout
    parts: Dict[str, float]
    draws: np.ndarray

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())

    def largest(self, count: int = 3) -> List[Tuple[str, float]]:
        """What bounds the step: its largest parts with their shares."""
        parts = sorted(self.parts.items(), key=lambda part: -part[1])[:count]
        return [(name, seconds / self.seconds) for name, seconds in parts]

    def spread(self) -> Tuple[float, float]:
        """The 5th and 95th percentile of the time."""
        low, high = np.percentile(self.draws, [5, 95])
        return float(low), float(high)

    def speedup(self, base: "Point") -> Tuple[float, float, float]:
        """Over another point of the same machine: the middle, 5th and 95th percentile."""
        low, high = np.percentile(base.draws / self.draws, [5, 95])
        return base.seconds / self.seconds, float(low), float(high)


def point(constants: Constants, drawn: Sequence[Constants], step: Load, layout: Layout, seed: int = 1) -> Point:
    """`drawn`: constants of a bootstrap; each meets a machine of its own."""
    random = np.random.default_rng(seed)
    where = (layout.nodes, layout.cores, layout.machines)
    parts = cost_model.predict(constants, step, layout.workers, layout.ranks, cost_model.typical(*where))
    draws = [cost_model.seconds(c, step, layout.workers, layout.ranks, cost_model.drawn(*where, random)) for c in drawn]
    return Point(layout, parts, np.array(draws))


def layouts(nodes: int, cores: int, machines: int) -> List[Layout]:
    """From one core to all: within a process up to one machine, then a rank a NUMA node."""
    machine = nodes * cores
    within = [2 ** k for k in range(machine.bit_length()) if 2 ** k < machine] + [machine]
    across = [2 ** k for k in range(1, machines.bit_length()) if 2 ** k < machines] + [machines] * (machines > 1)
    return ([Layout(w, 1, nodes, cores, 1) for w in within]
            + [Layout(m * machine, m * nodes, nodes, cores, m) for m in across])


def curve(measurements: Sequence[Dict[str, Any]], constants: Constants, drawn: Sequence[Constants], batch: int,
          shards: int, where: Sequence[Layout]) -> List[Point]:
    step = cost_model.scaled_load(measurements, batch, shards)
    return [point(constants, drawn, step, layout) for layout in where]
