"""Trains many steps of a small model with checkpoints, audits and all logs, and looks at the process meanwhile: resident memory,
descriptors and threads must not grow, and the logs' size is told.

  scripts/check/long-run --steps 2000                a minute
  scripts/check/long-run --steps 10000               what docs/DURABILITY.md reports: a day of steps at paper size on two cores
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time

from carat import places
from carat.errors import OutputError
from carat.program import Parser, result
from carat.program import run as run_program

SIZES = (
    "--layers 1,1,1 --hidden-size 32 --heads 2 --feed-forward-size 32 --latent-size 8 --queue-size 512 --batch-size 8 --samples 800,80,80 "
    "--steps 8 --features 8,7,9 --labels 3 --audit-every 20 --checkpoint-every 100 --tensorboard --log-digests --average-weights 0.99 "
    "--json --quiet"
).split()
PAGE = os.sysconf("SC_PAGE_SIZE")


def look(process):
    """Resident KiB, descriptors and threads of a process."""
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * PAGE // 1024
    return resident, len(os.listdir(f"/proc/{process.pid}/fd")), len(os.listdir(f"/proc/{process.pid}/task"))


def steps_done(run):
    try:
        with open(f"{run}/metrics.jsonl", "rb") as file:
            return sum(b'"event":"step"' in line for line in file)
    except FileNotFoundError:
        return 0


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def main(words):
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, metavar="N")
    a = parser.parse_args(words)
    folder = tempfile.mkdtemp(prefix="carat-long-")
    run = f"{folder}/run"
    try:
        process = subprocess.Popen([places.train(), "run", "--output", run, "--max-steps", str(a.steps), *SIZES], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        seen = []
        while process.poll() is None:
            time.sleep(0.25)
            try:
                seen.append((steps_done(run), *look(process)))
            except (FileNotFoundError, ProcessLookupError):
                break
        output, error = process.communicate()
        if process.returncode != 0:
            raise OutputError(f"the run ended with {process.returncode}: {error}", 1)
        logs = {name: size(f"{run}/{name}") for name in ("metrics.jsonl", "digests.jsonl", "tensorboard")}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    early = [s for s in seen if 0.1 * a.steps <= s[0] <= 0.3 * a.steps]
    late = [s for s in seen if s[0] >= 0.8 * a.steps]
    if not early or not late:
        raise OutputError("the run was too short to compare its beginning with its end; give more --steps", 1)
    for place, (name, unit, slack) in enumerate((("resident memory", " KiB", 2048), ("descriptors", "", 0), ("threads", "", 0)), start=1):
        before, after = max(s[place] for s in early), max(s[place] for s in late)
        result(f"{name}: at most {before}{unit} between steps {a.steps // 10} and {3 * a.steps // 10}, {after}{unit} after "
               f"step {8 * a.steps // 10}")
        if after > before + slack:
            raise OutputError(f"{name} grew from {before} to {after}", 1)
    said = json.loads(output.splitlines()[-1])
    result(f"{a.steps} steps, {said['audit']['steps']} of them audited; logs of a step: "
           + ", ".join(f"{name} {count / a.steps:.0f} bytes" for name, count in logs.items()))


if __name__ == "__main__":
    run_program("long-run", main)
