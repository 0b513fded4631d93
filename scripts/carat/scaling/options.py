"""Options that fit-scaling and plot-scaling share."""
import argparse
from typing import List, Optional


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "whole number of at least 1"


def numbers(text: str) -> List[int]:
    return [positive(n) for n in text.split(",")]


numbers.__name__ = "list of whole numbers, such as 64,512"


def add(p: argparse.ArgumentParser) -> None:
    p.add_argument("records", nargs="+", help="scaling.jsonl of train scale, or its directory; several of one machine "
                   "are taken together")
    p.add_argument("--batches", type=numbers, metavar="B,…", help="batch sizes to predict (those that were emulated)")
    p.add_argument("--nodes", type=positive, default=2, metavar="n", help="NUMA nodes of a machine to predict (2)")
    p.add_argument("--cores", type=positive, default=64, metavar="n", help="cores of a NUMA node (64)")
    p.add_argument("--machines", type=positive, default=8, metavar="n", help="machines, a rank a NUMA node (8)")
    p.add_argument("--samples", type=positive, default=1000, metavar="n", help="draws of the assumptions (1000)")


def batches(given: Optional[List[int]], emulated: list) -> List[int]:
    return given or sorted({p["batch_size"] for p in emulated})
