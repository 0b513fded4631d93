"""Lets cores compute wrongly (CARAT_FAULT=flip:…) in small audited runs: each fault has to be found and the right core named, and the
run has to end with the digest of one without fault.

  scripts/check/audit --faults 20                        a few, a second each
  scripts/check/audit --faults 1000 --results FILE       what docs/DURABILITY.md reports; FILE holds what is done already

Faults fall on a random product of a random worker, once or again and again; audits are of every step or by replay; on 1 to 4
workers (seats, where there are fewer cores), and with --mpi PROGRAM also on two and three ranks. A fault that changes nothing that is
read later can't be found, and has to leave the digest as it is: it counts as harmless.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import tempfile

from carat import places
from carat.errors import OutputError
from carat.program import Parser, result
from carat.program import run as run_program
from chaos_runs import Results

SIZES = (
    "--layers 1,1,1 --hidden-size 16 --heads 2 --feed-forward-size 16 --latent-size 8 --queue-size 100 --batch-size 8 --epochs 2 "
    "--samples 64,16,16 --steps 5 --features 8,7,9 --labels 3 --learning-rate 3e-3 --json --quiet --overwrite"
).split()
AUDITS = {"every step": ["--audit-every", "1"], "replay": ["--audit", "replay", "--checkpoint-every", "5"]}


def run(program, folder, workers, ranks, *options, fault=None):
    command = [program, "run", "--output", f"{folder}/run", "--workers", str(workers), *options, *SIZES]
    if ranks > 1:
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), *command]
    environment = {**os.environ, **({"CARAT_FAULT": fault} if fault else {})}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = []
    if os.path.exists(f"{folder}/run/metrics.jsonl"):
        with open(f"{folder}/run/metrics.jsonl", encoding="utf-8") as file:
            found = [r for r in map(json.loads, file) if r["event"] == "fault"]
    said = json.loads(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else {}
    return said.get("digest"), found, ended


def draw(number, seed, ranks_program):
    """The n-th fault: a function of the seed and its number alone."""
    random_source = random.Random(seed * 1_000_003 + number)
    ranks = random_source.choice([1, 2, 3]) if ranks_program else 1
    workers = random_source.choice([1, 2, 3, 4]) if ranks == 1 else random_source.choice([1, 2])
    worker = random_source.randrange(workers * ranks)
    kind = random_source.choice(sorted(AUDITS))
    again = random_source.random() < 0.3
    product = random_source.randint(20, 2000) if again else random_source.randint(1, 12_000 // (workers * ranks))
    return {"audit": kind, "workers": workers, "ranks": ranks, "worker": worker,
            "fault": f"flip:{worker}:{product}" + (":every" if again else "")}


def judge(case, right, digest, found, said):
    """What became of a fault, in a word or two."""
    place = (case["worker"] // case["workers"], case["worker"] % case["workers"])
    if digest is None and case["ranks"] > 1 and case["workers"] == 1 and case["fault"].endswith(":every"):
        # A rank's only core errs again and again: it can't be done without, and the run names it and ends.
        if f"the only one of rank {place[0]}, explains it alone" in said:
            return "stopped, the right core named"
        if "can be trusted" in said and case["ranks"] == 2:
            return "stopped, one of two cores"
    if digest != right:
        return "wrong digest"
    if any((r["rank"], r["seat"]) != place for r in found):
        return "wrong core"
    if found:
        return "found"
    return "harmless" if "CARAT_FAULT:" in said else "not reached"


def main(words):
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, metavar="N", help="how many, those of the results file included")
    parser.add_argument("--seed", type=int, default=1, help="of their draw")
    parser.add_argument("--results", metavar="FILE", help="a line a fault; what is there is not repeated")
    parser.add_argument("--mpi", metavar="PROGRAM", help="a program built with ranks, for faults on two or three of them")
    a = parser.parse_args(words)
    results = Results(a.results, a.seed)
    folder = results.directory or tempfile.mkdtemp(prefix="carat-audit-")
    try:
        program = places.train()
        right, _, ended = run(program, folder, 2, 1)
        if right is None:
            raise OutputError(f"the run without fault failed: {ended.stderr}", 1)
        for number in range(len(results.faults()), a.faults):
            case = draw(number, a.seed, a.mpi)
            digest, found, ended = run(a.mpi if case["ranks"] > 1 else program, folder, case["workers"], case["ranks"],
                                       *AUDITS[case["audit"]], fault=case["fault"])
            case = {"number": number, **case, "outcome": judge(case, right, digest, found, ended.stderr),
                    "stage": next((r["stage"] for r in found), None)}
            results.add(**case)
            if case["outcome"].startswith("wrong"):
                raise OutputError(f"fault {number}: {case}, expected digest {right}, found {digest}, {found}\n{ended.stderr}", 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    done = results.faults()
    counts = collections.Counter((c["audit"], c["ranks"], c["outcome"]) for c in done)
    for (audit, ranks, outcome), count in sorted(counts.items()):
        result(f"{audit}, {ranks} rank{'s' if ranks > 1 else ''}: {count} {outcome}")
    outcomes = [c["outcome"] for c in done]
    evaluations = sum((c["stage"] or "").startswith("evaluation") for c in done)
    result(f"{len(done)} faults, {outcomes.count('found')} found on the right core, {evaluations} of them in evaluations, "
           f"{outcomes.count('harmless')} changed nothing, {outcomes.count('not reached')} were never reached; every digest that of the run "
           f"without fault, but for {sum(o.startswith('stopped') for o in outcomes)} runs that had to stop")


if __name__ == "__main__":
    run_program("audit", main)
