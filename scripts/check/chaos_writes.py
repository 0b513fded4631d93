"""Writes that fail: `chaos --writes N` lets writes of a small run fail at random bytes, syncs, renames and new files, resumes it
each time, and compares its end with that of a run whose writes were all good."""
import os
import shutil
import subprocess

from carat.program import result
from chaos_runs import SMALLER, Truth, command, fail, parts_left, report

HERE = os.path.dirname(os.path.abspath(__file__))
# Statuses of docs/ERRORS.md that each kind of fault may end with; None: it is no fault, and the run continues.
KINDS = {"full": 74, "broken": 74, "sync": 74, "rename": 73, "create": 73, "short": None}
BYTES = 2_500_000
CALLS = 30


def library(directory):
    """failing-writes.c, compiled."""
    path = f"{directory}/failing-writes.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", path, f"{HERE}/failing-writes.c"], check=True)
    return path


def drawn(draw):
    """A kind of fault and its number: bytes near the start of a run as often as all others, for there most files are made."""
    kind = draw.choices(list(KINDS), [5, 4, 2, 1, 1, 1])[0]
    if kind in ("full", "broken"):
        return kind, int(BYTES ** draw.random()) if draw.random() < 0.3 else draw.randint(1, BYTES)
    return kind, draw.randint(1, 5000 if kind == "short" else CALLS)


def check_failure(kind, done, run):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("train: warning: ")]
    if done.returncode != KINDS[kind] or len(lines) != 1 or not lines[0].startswith("train: ") or run not in lines[0]:
        fail(f"{kind}: expected status {KINDS[kind]} and one line that names a file of {run}, found status {done.returncode}: {done.stderr}")
    if parts_left(run):
        fail(f"{kind}: temporary files were left: {parts_left(run)}")


def fail_and_resume(train, directory, writes, results):
    """Lets that many writes fail, less those that `results` has."""
    truth = Truth(train, f"{directory}/writes-whole", SMALLER)
    preload = library(directory)
    run = f"{directory}/writes"
    attempt = len(results.records)
    # One more start at the end, of good writes, brings the last run to its end.
    while True:
        count = len(results.faults())
        draw = results.draw("write", attempt)
        attempt += 1
        kind, number = drawn(draw) if count < writes else ("", 0)
        environment = {**os.environ, "LD_PRELOAD": preload, "FAILING_WRITES": f"{kind}:{number}:{run}"} if kind else None
        done = subprocess.run(command(train, run, draw.randint(1, 2), SMALLER, "--resume", "auto"), capture_output=True, text=True,
                              env=environment)
        if done.returncode == 0:
            truth.check(done.stdout, run)
            shutil.rmtree(run)
            if kind == "short":
                results.add(fault=count + 1, kind=kind, number=number, status=0, digest=truth.digest)
            results.add(end=truth.digest)
            if not kind:
                break
            continue
        if KINDS.get(kind) is None:
            fail(f"{kind or 'no fault'}: status {done.returncode}: {done.stderr}")
        check_failure(kind, done, run)
        results.add(fault=count + 1, kind=kind, number=number, status=done.returncode, said=done.stderr.splitlines()[-1][:120])
        report(f"{count + 1} of {writes} failing writes")
    kinds = [f["kind"] for f in results.faults()]
    result(f"{len(kinds)} failing writes ({', '.join(f'{kinds.count(k)} {k}' for k in KINDS if k in kinds)}): each but the short ones "
           f"with one line and its status; {len(results.ends())} runs came to their end, each with the digest and the "
           f"{len(truth.losses)} steps of the uninterrupted run")
