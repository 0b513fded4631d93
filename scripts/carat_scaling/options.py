"""Options that fit-scaling and plot-scaling share."""
import argparse
from typing import Any, Dict, List, Sequence, Tuple

from carat_formats.errors import UsageError

from . import records


def pairs(text: str) -> List[Tuple[int, int]]:
    """Batch sizes with shards, 64:32,64:64."""
    result = [tuple(int(n) for n in pair.split(":")) for pair in text.split(",")]
    if any(len(pair) != 2 or min(pair) < 1 or pair[0] % pair[1] for pair in result):
        raise ValueError
    return [(pair[0], pair[1]) for pair in result]


pairs.__name__ = "batch:shards pairs, of which the shards divide the batch (64:32,256:64)"


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "whole number of at least 1"


def add(p: argparse.ArgumentParser) -> None:
    p.add_argument("records", nargs="+", help="scaling.jsonl of train scale, or its directory; several of one machine "
                   "are fitted together")
    p.add_argument("--batches", type=pairs, default=[(64, 32), (64, 64), (1024, 128)], metavar="B:S,…",
                   help="batch sizes and shards to predict (64:32,64:64,1024:128)")
    p.add_argument("--nodes", type=positive, default=2, metavar="n", help="NUMA nodes of a machine to predict (2)")
    p.add_argument("--cores", type=positive, default=64, metavar="n", help="cores of a NUMA node (64)")
    p.add_argument("--machines", type=positive, default=8, metavar="n", help="machines, a rank a NUMA node (8)")
    p.add_argument("--samples", type=positive, default=300, metavar="n",
                   help="draws of measurements and assumptions for the uncertainty (300)")


def measurements(paths: Sequence[str]) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """The machine, and all measurements; of one machine and model only."""
    read = [records.read(path) for path in paths]
    machines = {(r.machine.get("cpu_model"), r.machine.get("kernel")) for r in read}
    if len(machines) > 1:
        raise UsageError(f"measurements of {len(machines)} machines can't be fitted together: give those of one")
    if len({m["gradient_bytes"] for r in read for m in r.measurements}) > 1:
        raise UsageError("measurements of models of several sizes can't be fitted together: give those of one")
    return read[0].machine, [m for r in read for m in r.measurements]
