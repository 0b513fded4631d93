"""Kills a small run again and again, resumes it on other numbers of workers, and compares its end with that of a run
that was never interrupted; then damages checkpoints and checks that all damage is found.

  scripts/check/chaos                            20 kills, 100 damaged files
  scripts/check/chaos --kills 1000 --flips 1000  what docs/DURABILITY.md reports
  scripts/check/chaos --kills 0 --writes 1000    writes that fail at random bytes

Kills come at random instants, or at a chosen point of writing (CARAT_FAULT). Every step has to be in metrics.jsonl once,
with the loss of the uninterrupted run, and the digest of the final state has to be the same.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile

from carat import places
from carat.program import Parser, result
from carat.program import run as run_program
from chaos_runs import SIZES, Results, Truth, command, digest_of, fail, parts_left, report
from chaos_writes import fail_and_resume

FAULTS = {"create": 8, "write": 3_000_000, "sync": 8, "rename": 8, "directory": 8, "record": 300}


def start(train, run, workers, *options, fault=None):
    environment = dict(os.environ, CARAT_FAULT=fault) if fault else os.environ
    return subprocess.Popen(command(train, run, workers, SIZES, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=environment)


def kill_and_resume(train, directory, kills, draw):
    truth = Truth(train, f"{directory}/whole", SIZES)
    killed = ends = in_writing = attempts = 0
    run = f"{directory}/run"
    while killed < kills:
        attempts += 1
        workers = draw.randint(1, 4)
        point = draw.choice(list(FAULTS)) if draw.random() < 0.4 else None
        fault = f"{point}:{draw.randint(1, FAULTS[point])}" if point else None
        process = start(train, run, workers, "--resume", "auto", fault=fault)
        try:
            output, error = process.communicate(timeout=None if point else draw.uniform(0, 0.7 * truth.seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            output, error = process.communicate()
        left = bool(parts_left(run))
        if process.returncode == -signal.SIGKILL:
            killed += 1
            in_writing += left
            report(f"{killed} of {kills} kills")
        elif process.returncode == 0:
            truth.check(output, run)
            ends += 1
            if left:
                fail("temporary files were left")
            shutil.rmtree(run)
        else:
            fail(f"status {process.returncode} after {killed} kills: {error}")
    process = start(train, run, draw.randint(1, 4), "--resume", "auto")
    output, error = process.communicate()
    if process.returncode != 0:
        fail(f"the last resumption failed with status {process.returncode}: {error}")
    truth.check(output, run)
    result(
        f"{killed} kills, {in_writing} of them while a file was being written; {ends + 1} runs came to their end, each with the "
        f"digest and the {len(truth.losses)} steps of the uninterrupted run")
    return run


def damage(path, draw):
    """Flips a bit, cuts the file, or zeroes a block that is not zero; says what it did."""
    size = os.path.getsize(path)
    kind = draw.choices(["bit", "cut", "zeros"], [8, 1, 1])[0]
    with open(path, "r+b") as file:
        if kind == "cut":
            file.truncate(draw.randrange(size))
            return "cut"
        while True:
            offset = draw.randrange(size)
            file.seek(offset)
            old = file.read(1 if kind == "bit" else 512)
            new = bytes([old[0] ^ 1 << draw.randrange(8)]) if kind == "bit" else bytes(len(old))
            if new != old:
                file.seek(offset)
                file.write(new)
                return kind


def flip(train, run, flips, draw):
    counts = {}
    checkpoints = sorted(os.listdir(f"{run}/checkpoints"))
    copy = f"{run}/damaged.safetensors"
    for i in range(flips):
        shutil.copyfile(f"{run}/checkpoints/{draw.choice(checkpoints)}", copy)
        kind = damage(copy, draw)
        counts[kind] = counts.get(kind, 0) + 1
        done = subprocess.run([train, "verify", copy], capture_output=True, text=True)
        if done.returncode != 1 or "good" in done.stdout or done.stdout.count("\n") != 1:
            fail(f"damage ({kind}) was not found in {copy}: status {done.returncode}, {done.stdout} {done.stderr}")
        report(f"{i + 1} of {flips} damaged files")
    os.remove(copy)
    result(f"{flips} damaged checkpoints ({', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))}): all found")


def fall_back(train, run, draw):
    """The newest checkpoint damaged: the run has to continue from the one before, and say so."""
    checkpoints = sorted(os.listdir(f"{run}/checkpoints"))
    damage(f"{run}/checkpoints/{checkpoints[-1]}", draw)
    digest = subprocess.run([train, "digest", run], capture_output=True, text=True).stdout
    process = start(train, run, 1, "--resume")
    output, error = process.communicate()
    if process.returncode != 0 or checkpoints[-1] not in error:
        fail(f"no fallback from a damaged checkpoint: status {process.returncode}, {error}")
    after = subprocess.run([train, "digest", run], capture_output=True, text=True).stdout
    if digest_of(output) != after.strip() or digest == after:
        fail("the run that fell back did not come to its end")
    result("a damaged newest checkpoint: the run continued from the one before and came to the same end")


def main(words):
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--writes", type=int, default=0, metavar="N", help="writes of a run that fail (full disk, broken device, …)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--results", metavar="FILE.jsonl", help="failing writes are appended here; the same again continues with them")
    parser.add_argument("--train", default=places.train(), help="the program")
    arguments = parser.parse_args(words)
    results = Results(arguments.results, arguments.seed)
    result(f"seed {results.seed}")
    draw = random.Random(results.seed)
    directory = results.directory or tempfile.mkdtemp(prefix="chaos-")
    if arguments.kills:
        run = kill_and_resume(arguments.train, directory, arguments.kills, draw)
        flip(arguments.train, run, arguments.flips, draw)
        fall_back(arguments.train, run, draw)
    if arguments.writes:
        fail_and_resume(arguments.train, directory, arguments.writes, results)
    shutil.rmtree(directory)


if __name__ == "__main__":
    run_program("chaos", main)
