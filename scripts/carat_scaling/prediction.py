"""Predicted times of machines that were not measured, with the uncertainty of constants and assumptions."""
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from . import cost_model
from .cost_model import Constants, Load


class Point(NamedTuple):
    """Seconds a step: with every assumption at its middle, and the 5th and 95th percentile."""
    workers: int
    ranks: int
    seconds: float
    low: float
    high: float
    parts: Dict[str, float]

    def largest(self, count: int = 3) -> List[Tuple[str, float]]:
        """What bounds the step: its largest parts with their shares."""
        parts = sorted(self.parts.items(), key=lambda part: -part[1])[:count]
        return [(name, seconds / self.seconds) for name, seconds in parts]


def point(constants: Constants, drawn: Sequence[Constants], step: Load, workers: int, ranks: int = 1, nodes: int = 1,
          machines: int = 1, seed: int = 1) -> Point:
    """`drawn`: constants of a bootstrap; each meets a machine of its own."""
    random = np.random.default_rng(seed)
    parts = cost_model.predict(constants, step, workers, ranks, cost_model.typical(nodes, machines))
    times = [cost_model.seconds(c, step, workers, ranks, cost_model.drawn(nodes, machines, random)) for c in drawn]
    low, high = np.percentile(times, [5, 95]) if times else (float("nan"), float("nan"))
    return Point(workers, ranks, sum(parts.values()), float(low), float(high), parts)


def layouts(nodes: int, cores: int, machines: int) -> List[Tuple[int, int, int, int]]:
    """(workers, ranks, nodes, machines) from one core to all: within a process up to one machine, then a rank a node."""
    machine = nodes * cores
    result, workers = [], 1
    while workers < machine:
        result.append((workers, 1, nodes, 1))
        workers *= 2
    result.append((machine, 1, nodes, 1))
    count = 2
    while count <= machines:
        result.append((count * machine, count * nodes, nodes, count))
        count *= 2
    if machines > 1 and count != 2 * machines:
        result.append((machines * machine, machines * nodes, nodes, machines))
    return result


def curve(measurements: Sequence[Dict[str, Any]], constants: Constants, drawn: Sequence[Constants], batch: int,
          shards: int, where: Sequence[Tuple[int, int, int, int]]) -> List[Point]:
    step = cost_model.scaled_load(measurements, batch, shards)
    return [point(constants, drawn, step, w, r, n, m) for w, r, n, m in where]
