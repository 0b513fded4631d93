"""Which CPUs each of several runs at a time gets for itself."""
import json
import subprocess
from typing import List, NamedTuple, Optional, Sequence

Core = List[int]


class Machine(NamedTuple):
    """What this process may use: of each NUMA node its physical cores, of each the hardware threads; and CPUs' time."""
    nodes: List[List[Core]]
    limit: Optional[float]

    @property
    def cores(self) -> int:
        return sum(len(node) for node in self.nodes)


def look(train: str) -> Machine:
    """What `train topology` tells."""
    tiny = ["--layers", "0,0,0", "--hidden-size", "8", "--heads", "1", "--queue-size", "0", "--batch-size", "4", "--workers", "1"]
    done = subprocess.run([train, "topology", "--json", *tiny], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    cores = [list(core) for core in found["cores"]]
    nodes = [[c for c in cores if c[0] in node["cpus"]] for node in found["nodes"]]
    left = [c for c in cores if not any(c in node for node in nodes)]
    return Machine([node for node in (*nodes, left) if node], found.get("cpu_limit"))


def parts(count: int, shares: int) -> List[range]:
    """0 … count - 1 in so many contiguous parts of nearly equal length."""
    return [range(count * i // shares, count * (i + 1) // shares) for i in range(shares)]


def core_sets(nodes: Sequence[Sequence[Core]], jobs: int) -> List[List[Core]]:
    """Disjoint sets of cores that together are all, one for each of `jobs` runs: whole NUMA nodes while there are enough, then
    equal runs of the cores of one node.

    :raises ValueError: if there are fewer cores than runs.
    """
    if sum(len(node) for node in nodes) < jobs:
        raise ValueError(f"{sum(len(node) for node in nodes)} cores for {jobs} runs")
    if jobs <= len(nodes):
        return [[core for n in part for core in nodes[n]] for part in parts(len(nodes), jobs)]
    # A further run goes to the node whose runs have the most cores each.
    runs = [1] * len(nodes)
    for _ in range(jobs - len(nodes)):
        runs[max(range(len(nodes)), key=lambda n: (len(nodes[n]) > runs[n], len(nodes[n]) / runs[n]))] += 1
    return [[node[c] for c in part] for node, count in zip(nodes, runs) for part in parts(len(node), count)]


def cpus(cores: Sequence[Core]) -> List[int]:
    return sorted(cpu for core in cores for cpu in core)


def written(numbers: Sequence[int]) -> str:
    """CPUs as people and the kernel write them: 0-3,8."""
    runs: List[List[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
