"""The cost model of a training step, docs/SCALING.md: its constants fitted to measurements, and its predictions.

Times are in seconds, sizes in bytes, work in floating-point operations (FLOP). W: workers, R: ranks, S: shards."""
import itertools
import math
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np

SHARD_PHASES = ("forward", "contrastive gradient", "shuffled aggregation", "backward", "keys")
MEMORY_PHASES = ("all-reduce", "update")
SERIAL_PHASES = ("anchor factors", "queue and prototypes")
LEAST_SINGULAR = 0.1          # of columns of length 1, two that differ by some 8 degrees
LEAST_BARRIER = 1e-7          # an assumption: a cache line that a worker takes from another, in seconds
PASSES_OF_UPDATE = 7          # Adam reads value, gradient, two moments and writes all but the gradient
PASSES_OF_ACTIVATIONS = 3     # written once, read at least once, the gradient beside them


class Constants(NamedTuple):
    """What is fitted. Bandwidths are those of one core."""
    shard_slowdown: float     # time of the products that are dealt by shards, and all around them, over sgemm's time
    shard_seconds: float      # of one core for each shard, whatever its size: its gradients' sums
    pair_slowdown: float      # the same as the first for the contrastive statistics
    core_bandwidth: float     # all-reduce and update, bytes a second
    serial_seconds: float     # what does not shrink with workers
    barrier_seconds: float    # a barrier at which all arrive at once, for each worker: all count up one number in turn
    jitter: float             # waiting for the slowest, over compute time · √(2 ln W)
    exchange_bandwidth: float  # bytes a second that one rank sends, as measured; nan without ranks
    sgemm_rate: float         # FLOP/s of one core's sgemm
    activation_bytes: float   # of one sample


class Machine(NamedTuple):
    """A machine to predict. Bandwidths are those of a NUMA node, of the links out of it, and of a machine's network."""
    nodes: int = 1            # NUMA nodes of one machine
    cores: int = 1            # of a NUMA node
    machines: int = 1
    sgemm_share: float = 1.0  # of the measured rate of a core, where all cores are busy; in between linearly
    node_bandwidth: float = 3e11
    numa_bandwidth: float = 8e10
    network_bandwidth: float = 1.2e10
    latency: float = 5e-6     # of a message
    barrier_growth: float = 1.0
    exposed: float = 0.26     # part of the gradients' exchange that backward can't hide


class Load(NamedTuple):
    """What a step has to do."""
    batch: int
    shards: int
    shard_operations: float
    pair_operations: float
    gradient_bytes: float
    barriers: int = 9


def load(measurement: Dict[str, Any]) -> Load:
    return Load(measurement["batch_size"], measurement["shards"], measurement["operations"]["shards"],
                measurement["operations"]["pairs"], measurement["gradient_bytes"], measurement["barriers"])


def nonnegative(columns: Sequence[Sequence[float]], target: Sequence[float]) -> np.ndarray:
    """Least squares of relative errors with coefficients of at least 0: the best over all sets of columns, so for few.

    Columns that the data hardly tell apart are not used together; the first of such columns then stands for both."""
    y = np.asarray(target, float)
    a = np.asarray(columns, float).T / y[:, None]
    scale = np.maximum(np.linalg.norm(a, axis=0), 1e-300)
    a = a / scale
    kept: List[int] = []
    for column in range(a.shape[1]):
        singular = np.linalg.svd(a[:, kept + [column]], compute_uv=False)
        if len(singular) > len(kept) and singular[-1] >= LEAST_SINGULAR:
            kept.append(column)
    best, least = np.zeros(a.shape[1]), float(len(y))
    for size in range(1, len(kept) + 1):
        for chosen in map(list, itertools.combinations(kept, size)):
            x = np.linalg.lstsq(a[:, chosen], np.ones(len(y)), rcond=None)[0]
            error = float(np.sum((a[:, chosen] @ x - 1) ** 2))
            if (x >= 0).all() and error < least:
                least, best = error, np.zeros(a.shape[1])
                best[chosen] = x / scale[chosen]
    return best


def total(measurement: Dict[str, Any], names: Sequence[str]) -> float:
    return sum(measurement["phases"].get(name, 0.0) for name in names)


def exchanges(measurement: Dict[str, Any]) -> float:
    """Only worker 0 of a rank exchanges; phases are means over the rank's workers."""
    mean = sum(t for name, t in measurement["phases"].items() if name.startswith(("gather ", "exchange ")))
    return mean * measurement["workers"] / measurement["ranks"]


def reduction_bytes(nodes: float, gradient_bytes: float) -> float:
    """That a step's all-reduce and update move."""
    return (nodes + 1 + PASSES_OF_UPDATE) * gradient_bytes


def fit(measurements: Sequence[Dict[str, Any]]) -> Constants:
    """Each constant from the phases that it is about."""
    rate = [m["sgemm_gflops"] * 1e9 / m["workers"] for m in measurements]
    compute = [total(m, SHARD_PHASES) for m in measurements]
    shard = nonnegative(
        [[m["operations"]["shards"] / g for m, g in zip(measurements, rate)], [m["shards"] for m in measurements]],
        [t * m["workers"] for t, m in zip(compute, measurements)])
    pair = nonnegative([[m["operations"]["pairs"] / g for m, g in zip(measurements, rate)]],
                       [total(m, ("contrastive statistics",)) * m["workers"] for m in measurements])
    memory = nonnegative([[reduction_bytes(m["nodes"] * m["ranks"], m["gradient_bytes"]) for m in measurements]],
                         [total(m, MEMORY_PHASES) * m["workers"] for m in measurements])
    alone = [(m, t) for m, t in zip(measurements, compute) if m["ranks"] == 1]
    serial = 0.0
    if alone:
        known = SHARD_PHASES + MEMORY_PHASES + ("contrastive statistics", "wait")
        serial = float(np.median([max(np.mean(m["seconds"]) - total(m, known), 0) for m, _ in alone]))
    barrier, jitter = 0.0, 0.0
    several = [(m, t) for m, t in alone if m["workers"] > 1]
    if several:
        barrier = float(np.median([m["barrier_seconds"] / m["workers"] for m, _ in several]))
        waits = [max(total(m, ("wait",)) - t * (imbalance(m["shards"], m["workers"]) - 1)
                     - barrier * m["barriers"] * m["workers"], 1e-9) for m, t in several]
        jitter = nonnegative([[t * math.sqrt(2 * math.log(m["workers"])) for m, t in several]], waits)[0]
    sent = [m for m in measurements if m["ranks"] > 1 and m["sent_bytes"] > 0]
    bandwidth = float("nan")
    if sent:
        bandwidth = sum(m["sent_bytes"] for m in sent) / max(sum(exchanges(m) for m in sent), 1e-9)
    return Constants(
        shard[0], shard[1], pair[0], 1 / max(memory[0], 1e-15), serial, barrier, jitter, bandwidth,
        float(np.median(rate)), float(np.median([m["workspace_bytes"] * m["ranks"] / m["batch_size"] for m in measurements])))


def imbalance(shards: int, workers: int) -> float:
    """The most shards that a worker has, over the mean."""
    return math.ceil(shards / workers) * workers / shards


def predict(c: Constants, step: Load, workers: int, ranks: int = 1, machine: Machine = Machine()) -> Dict[str, float]:
    """Seconds of a step by what takes them. Workers are those of all ranks; ranks are spread evenly over machines."""
    nodes = min(machine.nodes * machine.machines, workers)                        # NUMA nodes that have workers
    busy = min((workers / nodes - 1) / max(machine.cores - 1, 1), 1)
    rate = c.sgemm_rate * (1 - (1 - machine.sgemm_share) * busy)
    machines = min(machine.machines, ranks)
    bandwidth = nodes * machine.node_bandwidth
    one_shard = c.shard_slowdown * step.shard_operations / step.shards / rate + c.shard_seconds
    even = one_shard * step.shards / workers
    compute = one_shard * math.ceil(step.shards / workers)
    traffic = PASSES_OF_ACTIVATIONS * c.activation_bytes * step.batch / bandwidth
    tree = min(workers, step.shards)
    team = workers / ranks
    barrier = max(c.barrier_seconds, LEAST_BARRIER) * machine.barrier_growth * team
    result = {
        "compute": even, "shard imbalance": compute - even,
        "activations beyond bandwidth": max(traffic - compute, 0.0),
        "contrastive statistics": c.pair_slowdown * step.pair_operations / rate / workers,
        "all-reduce and update": reduction_bytes(tree, step.gradient_bytes) / min(workers * c.core_bandwidth, bandwidth),
        "jitter": c.jitter * compute * math.sqrt(2 * math.log(max(team, 1))),
        "barriers": step.barriers * barrier if team > 1 else 0.0,
        "serial": c.serial_seconds,
    }
    inside = nodes / ranks                                                        # NUMA nodes of one rank
    if inside > 1:      # each worker's slice of all nodes of the tree, of which other NUMA nodes have these
        result["all-reduce across NUMA nodes"] = (
            tree / ranks * step.gradient_bytes * (inside - 1) / inside / (inside * machine.numa_bandwidth))
    if ranks > 1:
        result.update(between_ranks(step, ranks, machines, machine, backward=compute * 2 / 3))
    return result


def rows_bytes(step: Load) -> float:
    """Latents, betas and their gradients, and the statistics, as at the paper's size (docs/RANKS.md)."""
    return step.batch * 51.5e3 + min(1.4e6 * ((step.batch * 54 + 8192) / 11648) ** 2, 16e6)


def between_ranks(step: Load, ranks: int, machines: int, machine: Machine, backward: float) -> Dict[str, float]:
    share = (ranks - 1) / ranks
    local = ranks / machines                                                      # ranks of one machine

    def seconds(size: float) -> float:
        """Every rank sends as many bytes, to all others alike; a machine's ranks share its network."""
        if machines == 1:
            return size / machine.numa_bandwidth
        away = (ranks - local) / (ranks - 1)
        return max(local * size * away / machine.network_bandwidth, size * (1 - away) / machine.numa_bandwidth)

    gradients = seconds(share * step.gradient_bytes)
    return {"gradients between ranks": max(machine.exposed * gradients, gradients - backward),
            "parameters between ranks": seconds(share * step.gradient_bytes),
            "rows between ranks": seconds(share * rows_bytes(step)),
            "messages' latency": 16 * (ranks - 1) * machine.latency}


def as_measured(c: Constants, group: Sequence[Dict[str, Any]]) -> float:
    """What the fit makes of measurements of one configuration, at their own sgemm rate; memory and links are what the
    measured cores were seen to reach."""
    step, workers, ranks = load(group[0]), group[0]["workers"], group[0]["ranks"]
    c = c._replace(sgemm_rate=float(np.median([m["sgemm_gflops"] for m in group])) * 1e9 / workers)
    link = c.exchange_bandwidth if c.exchange_bandwidth > 0 else math.inf
    here = Machine(node_bandwidth=workers * c.core_bandwidth, numa_bandwidth=link, latency=0, exposed=1)
    return seconds(c, step, workers, ranks, here)


def seconds(c: Constants, step: Load, workers: int, ranks: int = 1, machine: Machine = Machine()) -> float:
    return sum(predict(c, step, workers, ranks, machine).values())


def resampled(measurements: Sequence[Dict[str, Any]], random: np.random.Generator) -> List[Dict[str, Any]]:
    """As many measurements of each configuration, drawn with replacement."""
    groups: Dict[Any, List[Dict[str, Any]]] = {}
    for m in measurements:
        groups.setdefault((m["mode"], m["workers"], m["ranks"], m["batch_size"], m["shards"]), []).append(m)
    return [group[i] for group in groups.values() for i in random.integers(0, len(group), len(group))]


def bootstrap(measurements: Sequence[Dict[str, Any]], count: int, seed: int = 1) -> List[Constants]:
    random = np.random.default_rng(seed)
    return [fit(resampled(measurements, random)) for _ in range(count)]


# What two cores can't tell: low and high, with where it is from. Drawn log-uniformly for the uncertainty.
ASSUMED = {
    "sgemm_share": (0.65, 1.0, "clock rate with all cores busy over that with few"),
    "node_bandwidth": (2.0e11, 4.0e11, "a socket of 8 to 12 channels of DDR5-4800, peaks 307 to 461 GB/s, of which 65 to 87 %"),
    "numa_bandwidth": (5e10, 1.5e11, "links between two sockets, one direction: 3 to 4 links of 20 to 40 GB/s"),
    "network_bandwidth": (1.0e10, 2.3e10, "100 to 200 Gbit/s, of which 80 to 92 %"),
    "latency": (2e-6, 1e-5, "a message between machines with remote memory access, or over fast TCP"),
    "barrier_growth": (1.0, 4.0, "a cache line that crosses sockets, over one that does not"),
    "exposed": (0.15, 0.35, "docs/RANKS.md: 26 to 34 of 115 ms were not hidden"),
}


def typical(nodes: int, cores: int, machines: int) -> Machine:
    """Every assumption at the (geometric) middle of its range."""
    return Machine(nodes, cores, machines, **{
        name: math.sqrt(low * high) for name, (low, high, _) in ASSUMED.items()})


def drawn(nodes: int, cores: int, machines: int, random: np.random.Generator) -> Machine:
    return Machine(nodes, cores, machines, **{
        name: math.exp(random.uniform(math.log(low), math.log(high))) for name, (low, high, _) in ASSUMED.items()})


def scaled_load(measurements: Sequence[Dict[str, Any]], batch: int, shards: int) -> Load:
    """A step of another batch: the work of shards grows with the batch and, of the contrastive loss, with its square, as
    the measured operations do. Of fewer than three batch sizes the square is not known, and left out."""
    sizes = sorted({(m["batch_size"], m["operations"]["shards"], m["operations"]["pairs"]) for m in measurements})
    b = np.array([s[0] for s in sizes], float)
    degree = min(len(sizes), 3) - 1

    def value(column: int) -> float:
        y = np.array([s[column] for s in sizes])
        if degree == 0:
            return float(y[0] * batch / b[0])
        return float(np.polyval(np.polyfit(b, y, degree), batch))

    gradient, barriers = measurements[0]["gradient_bytes"], min(m["barriers"] for m in measurements)
    return Load(batch, shards, value(1), value(2), gradient, barriers)
