"""What the chaos scripts share: a small run, what it has to come to, and the file of what was done to it."""
import json
import os
import random
import subprocess
import time

from carat.errors import OutputError
from carat.program import diagnostic

SIZES = (
    "--layers 1,1,1 --hidden-size 32 --heads 2 --feed-forward-size 32 --latent-size 8 --queue-size 256 --batch-size 8 "
    "--epochs 10 --samples 400,60,60 --steps 6 --features 8,7,6 --labels 3 --queue-keys momentum --log-digests --json"
).split()
# Where a start is all that takes time.
SMALLER = (
    "--layers 1,1,1 --hidden-size 16 --heads 2 --feed-forward-size 16 --latent-size 8 --queue-size 64 --batch-size 8 "
    "--epochs 4 --samples 160,24,24 --steps 4 --features 8,7,6 --labels 3 --queue-keys momentum --log-digests --json"
).split()
CHECKPOINTS = ["--checkpoint-every", "11", "--keep", "3"]


def fail(message):
    raise OutputError(message, 1)


def command(train, run, workers, sizes, *options):
    return [train, "run", "--output", run, "--workers", str(workers), *CHECKPOINTS, *options, *sizes]


def losses(run):
    """The exact loss terms of each step, in the order of the log."""
    with open(f"{run}/metrics.jsonl") as file:
        records = [json.loads(line) for line in file]
    return [(r["step"], r["epoch"], r["terms"]) for r in records if r["event"] == "step"]


class Truth:
    """The run that nothing happens to: its digest, its steps' losses, and the seconds that it takes.

    Raises:
        OutputError: if it fails.
    """

    def __init__(self, train, run, sizes):
        began = time.monotonic()
        done = subprocess.run(command(train, run, 2, sizes, "--resume", "auto"), capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"the uninterrupted run failed: {done.stderr}")
        self.seconds = time.monotonic() - began
        self.digest = digest_of(done.stdout)
        self.losses = losses(run)

    def check(self, output, run):
        """Refuses an end that is not this one: `output` is what the run's last start printed."""
        found = digest_of(output)
        if found != self.digest:
            fail(f"the digest is {found}, uninterrupted {self.digest} (in {run})")
        if losses(run) != self.losses:
            fail(f"the steps in {run}/metrics.jsonl differ from the uninterrupted run's")


def digest_of(output):
    return json.loads(output.splitlines()[-1])["digest"]


def parts_left(run):
    """Temporary files beside checkpoints."""
    folder = f"{run}/checkpoints"
    return [f for f in os.listdir(folder) if f.endswith(".part")] if os.path.isdir(folder) else []


def newest_step(run):
    """That of the newest checkpoint; 0 if there is none."""
    try:
        names = os.listdir(f"{run}/checkpoints")
    except FileNotFoundError:
        return 0
    return max((int(n[5:-12]) for n in names if n.startswith("step-") and n.endswith(".safetensors")), default=0)


class Results:
    """Faults and ends, a JSON object a line, appended as they happen: what is there is done, and is not done again.

    Each fault's draws come from the seed and its number, whatever was stopped in between.
    """

    def __init__(self, path, seed):
        """Raises OutputError if the file has another seed's faults."""
        self.path = path
        # Of the runs, kept from one start to the next; None without a file.
        self.directory = os.path.abspath(path + ".runs") if path else None
        if self.directory:
            os.makedirs(self.directory, exist_ok=True)
        self.records = []
        if path and os.path.exists(path):
            with open(path) as file:
                self.records = [json.loads(line) for line in file if line.endswith("\n")]
        self.seed = seed if seed is not None else self.records[0]["seed"] if self.records else random.SystemRandom().randrange(1 << 32)
        if self.records and self.records[0]["seed"] != self.seed:
            fail(f"{path}: expected faults of seed {self.seed}, found those of seed {self.records[0]['seed']}; take another --results")
        if not self.records:
            self.add(seed=self.seed)

    def add(self, **record):
        self.records.append(record)
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps(record) + "\n")

    def faults(self):
        return [r for r in self.records if "fault" in r]

    def ends(self):
        return [r for r in self.records if "end" in r]

    def draw(self, *place):
        return random.Random(":".join(map(str, (self.seed, *place))))


_shown = [0.0]


def report(text):
    """A line on a terminal of how far it is."""
    import sys
    if sys.stderr.isatty() and time.monotonic() - _shown[0] > 0.2:
        _shown[0] = time.monotonic()
        diagnostic(f"\r{text} ", end="\r")
