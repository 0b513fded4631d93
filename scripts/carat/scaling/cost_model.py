"""What a training step would take on a larger machine, docs/SCALING.md: who does how much is emulated (`train scale --emulate`),
what cores and machines share is assumed. Times are in seconds, sizes in bytes. W: workers, R: ranks, N: NUMA nodes."""
import math
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np

PASSES_OF_UPDATE = 7          # Adam reads value, gradient, two moments and writes all but the gradient
PASSES_OF_ACTIVATIONS = 3     # written once, read at least once, the gradient beside them
UPDATE_PHASES = ("all-reduce", "update")
# What each rank does on its own workers, where one process deals it to all; and what each rank does of its own samples only.
REPEATED_PHASES = ("packing rows", "anchor factors", "queue and prototypes")
DIVIDED_PHASES = ("dealing",)
EXCHANGES = 12                # of ranks in a step: rows, statistics, aggregates, norms, gradients and parameters by segment

# Name, from, to, and where that comes from: nothing of it could be measured where the emulation ran.
ASSUMED = {
    "clock": (0.65, 1.0, "clock rate with all cores busy over that with one"),
    "node_bandwidth": (2.0e11, 4.0e11, "a socket of 8 to 12 channels of DDR5-4800, peaks 307 to 461 GB/s, of which 65 to 87 %"),
    "numa_bandwidth": (5e10, 1.5e11, "links out of a socket, one direction: 3 to 4 links of 20 to 40 GB/s"),
    "network_bandwidth": (1.0e10, 2.3e10, "of a machine: 100 to 200 Gbit/s, of which 80 to 92 %"),
    "latency": (2e-6, 1e-5, "an exchange between machines with remote memory access, or over fast TCP"),
    "message_seconds": (2e-7, 1e-6, "a further message of the same exchange"),
    "barrier_seconds": (1.0e-7, 7e-7, "for each worker; 0.18 µs within one node of two cores were measured once"),
    "exposed": (0.2, 0.8, "of the gradients' exchange: what the weights' gradients of later segments do not hide"),
    "emulation": (0.95, 1.05, "the emulation's own error: with one and two workers it was within 5 % of real steps"),
}


class Machine(NamedTuple):
    """Where a step runs, a rank a NUMA node if there are several machines; and what is assumed of it."""
    nodes: int                # NUMA nodes of one machine
    cores: int                # of a NUMA node
    machines: int
    clock: float
    node_bandwidth: float
    numa_bandwidth: float
    network_bandwidth: float
    latency: float
    message_seconds: float
    barrier_seconds: float
    exposed: float
    emulation: float

    @property
    def workers(self) -> int:
        return self.machines * self.nodes * self.cores


def typical(nodes: int, cores: int, machines: int) -> Machine:
    """Every assumption at the (geometric) middle of its range."""
    return Machine(nodes, cores, machines, **{name: math.sqrt(low * high) for name, (low, high, _) in ASSUMED.items()})


def drawn(nodes: int, cores: int, machines: int, random: np.random.Generator) -> Machine:
    return Machine(nodes, cores, machines, **{
        name: math.exp(random.uniform(math.log(low), math.log(high))) for name, (low, high, _) in ASSUMED.items()})


def predict(point: Dict[str, Any], machine: Machine) -> Dict[str, float]:
    """Seconds of a step by what takes them, of an emulated point whose workers use all or some of a machine's cores."""
    workers, phases, size = point["workers"], point["phases"], point["bytes"]
    nodes = min(machine.nodes * machine.machines, workers)
    busy = min(workers / machine.workers, 1)
    slower = machine.emulation / (1 - (1 - machine.clock) * busy)
    ranks = machine.machines * machine.nodes if machine.machines > 1 else 1
    scale = {name: slower * (ranks if name in REPEATED_PHASES else 1 / ranks if name in DIVIDED_PHASES else 1) for name in phases}
    slowest = {name: p["slowest"] * scale[name] for name, p in phases.items()}
    mean = sum(p["mean"] * scale[name] for name, p in phases.items())
    total = sum(slowest.values())
    updating = sum(slowest.get(name, 0.0) for name in UPDATE_PHASES)
    bandwidth = nodes * machine.node_bandwidth
    parts = {"work": mean, "imbalance": total - mean}
    parts["memory"] = (
        max(PASSES_OF_UPDATE * size["gradients"] / bandwidth - updating, 0)
        + max(PASSES_OF_ACTIVATIONS * size["activations"] / bandwidth - (total - updating), 0))
    between = size["between_nodes"]
    if machine.machines == 1:
        parts["between NUMA nodes"] = (
            (between["gradients"] + (nodes - 1) * size["gradients"]) / (nodes * machine.numa_bandwidth) if nodes > 1 else 0.0)
        parts["barriers"] = point["barriers"] * machine.barrier_seconds * workers
        return parts
    # A rank a NUMA node; those of a machine share its network.
    sent = machine.nodes * (ranks - 1) / ranks / machine.network_bandwidth
    parts["gradients between ranks"] = machine.exposed * sent * size["gradients"]
    parts["parameters between ranks"] = sent * size["gradients"]
    parts["rows between ranks"] = sent * size["rows"]
    parts["messages"] = EXCHANGES * (machine.latency + (ranks - 1) * machine.message_seconds)
    parts["barriers"] = point["barriers"] * machine.barrier_seconds * machine.cores
    return parts


def seconds(point: Dict[str, Any], machine: Machine) -> float:
    return sum(predict(point, machine).values())


class Prediction(NamedTuple):
    """By what takes the time, with every assumption at its middle; and for each of some drawn machines the whole time."""
    point: Dict[str, Any]
    machine: Machine
    parts: Dict[str, float]
    draws: np.ndarray

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())

    def largest(self, count: int = 3) -> List[Any]:
        """What bounds the step: its largest parts with their shares."""
        return [(name, s / self.seconds) for name, s in sorted(self.parts.items(), key=lambda part: -part[1])[:count]]

    def spread(self) -> Sequence[float]:
        """The 5th and 95th percentile of the time."""
        return [float(x) for x in np.percentile(self.draws, [5, 95])]

    def speedup(self, base: "Prediction") -> Sequence[float]:
        """Over another prediction, whose draws are of the same assumptions: the middle, 5th and 95th percentile."""
        return [base.seconds / self.seconds, *(float(x) for x in np.percentile(base.draws / self.draws, [5, 95]))]


def emulated(points: Sequence[Dict[str, Any]], batch: int, nodes: int, workers: int) -> Dict[str, Any]:
    """The point of the most workers that are not too many, on as many nodes if it was emulated so: what is beyond is idle.

    :raises LookupError: if no such point was emulated.
    """
    fitting = [p for p in points if p["batch_size"] == batch and p["workers"] <= workers]
    if not fitting:
        raise LookupError(f"batch {batch} on {workers} workers or fewer")
    return max(fitting, key=lambda p: (p["workers"], p["nodes"] == nodes, p["nodes"]))


def predictions(points: Sequence[Dict[str, Any]], batch: int, nodes: int, cores: int, machines: int,
                samples: int) -> List[Prediction]:
    """One core of such a machine, one machine, and all."""
    found = []
    for workers, count in ((1, 1), (nodes * cores, 1), *([(machines * nodes * cores, machines)] if machines > 1 else [])):
        point = emulated(points, batch, count * nodes, workers)
        # The same draws for each, so that their ratios are of one machine.
        random = np.random.default_rng(1)
        draws = [seconds(point, drawn(nodes, cores, count, random)) for _ in range(samples)]
        machine = typical(nodes, cores, count)
        found.append(Prediction(point, machine, predict(point, machine), np.array(draws)))
    return found
