"""Harms the ranks of a small run under carat launch again and again, on other hosts, ranks and workers at each start, and compares
each end with that of one process which was never interrupted.

  scripts/check/chaos-ranks                                          8 faults
  scripts/check/chaos-ranks --faults 200 --seed 1 --results r.jsonl  what docs/DURABILITY.md reports; the same again continues with it

Faults at random instants: a rank is killed or stopped (SIGKILL, SIGSTOP), a host loses all its processes or is cut off from the
network, mpirun is killed, the launch with all of its ranks is killed or stopped (SIGTERM). Hosts are network namespaces, which
root may make; otherwise, or with --here, all ranks are on this machine, and no host is lost. Each fault is a line of the results.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from carat import places
from carat.job import descendants
from carat.program import Parser, diagnostic, result
from carat.program import run as run_program
from chaos_runs import SIZES, Results, Truth, command, fail, newest_step, report
from ranks_hosts import Namespaces, ThisMachine, send

HOSTS = 3
# Seconds of silence after which a rank is taken for dead, on a machine that others use too.
SILENCE = 6
# How long what is going to be noticed may take: silence, mpirun's end, the pause, a start.
PATIENCE = 240
KINDS = {"rank killed": 5, "rank stopped": 2, "host ended": 2, "host cut off": 1, "mpirun killed": 1, "all killed": 1, "stopped": 1}
OF_HOSTS = ("host ended", "host cut off")
# They end the launch; what comes next is a start of its own.
OF_ALL = ("all killed", "stopped")


class Start:
    """One `carat launch`."""

    def __init__(self, machine, train, run, draw, files):
        self.machine, self.run, self.cut = machine, run, None
        self.hosts = sorted(draw.sample(range(1, HOSTS + 1), draw.randint(1, HOSTS)))
        self.ranks = draw.randint(1, 2) if isinstance(machine, Namespaces) else draw.randint(2, 4)
        self.workers = draw.randint(1, 2)
        self.output, self.errors = f"{files}/output", f"{files}/errors"
        words = command(train, run, self.workers, SIZES, "--rank-timeout", str(SILENCE))
        with open(self.output, "w") as output, open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "carat", "launch", "--restarts", "50", "--pause", "0.1", "--stall-after", "30",
                 *machine.options(self.hosts, self.ranks), "--", *words], stdout=output, stderr=errors)

    def layout(self):
        return {"hosts": self.hosts if isinstance(self.machine, Namespaces) else [], "ranks_per_host": self.ranks, "workers": self.workers}

    def said(self):
        with open(self.errors, errors="replace") as file:
            return [line.rstrip("\n") for line in file if line.startswith("carat launch: ") or line.startswith("launch: ")]

    def told(self, words):
        """How often the launch said so."""
        return sum(words in line for line in self.said())

    def until(self, what, seconds):
        """Waits; whether it came before the launch's end and the time's."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return False

    def mend(self):
        if self.cut:
            self.machine.mend(self.cut)
            self.cut = None

    def harm(self, kind, draw):
        """Does it, if there is still something to harm; what it was done to, in words."""
        ranks = self.machine.ranks(self.process.pid)
        if not ranks or self.process.poll() is not None:
            return None
        rank = draw.choice(ranks)
        if kind == "rank killed":
            send(rank.pid, signal.SIGKILL)
        elif kind == "rank stopped":
            send(rank.pid, signal.SIGSTOP)
        elif kind == "host ended":
            self.machine.end(rank.host)
        elif kind == "host cut off":
            self.cut = rank.host
            self.machine.cut(rank.host)
        elif kind == "mpirun killed":
            for pid in descendants(self.process.pid):
                with open(f"/proc/{pid}/comm") as file:
                    if "mpirun" in file.read() or "orterun" in os.readlink(f"/proc/{pid}/exe"):
                        send(pid, signal.SIGKILL)
                        break
        elif kind == "all killed":
            self.end()
        else:
            self.process.terminate()
        return f"rank {rank.number} on host {rank.host}" if kind.startswith("rank") else f"host {rank.host}" if kind in OF_HOSTS else "all"

    def end(self):
        """What a power cut of all machines leaves."""
        family = [*descendants(self.process.pid), *(r.pid for r in self.machine.ranks(self.process.pid))]
        self.process.kill()
        for pid in family:
            send(pid, signal.SIGKILL)
        self.process.wait()


def faults_of(start, results, faults, draw, kinds):
    """Some faults of a start, each once the launch has noticed the one before; what is to be expected of its end."""
    for _ in range(draw.randint(1, 4)):
        count = len(results.faults())
        if count >= faults:
            return "the end"
        kind = draw.choices(list(kinds), list(kinds.values()))[0]
        if not start.until(lambda: start.machine.ranks(start.process.pid), PATIENCE):
            return "the end"
        time.sleep(draw.uniform(0, 3))
        start.mend()
        before, begun, step, began = start.told(": restart "), start.told(" on 10."), newest_step(start.run), time.monotonic()
        whom = start.harm(kind, draw)
        if whom is None:
            return "the end"
        noticed = kind in OF_ALL or start.until(lambda before=before: start.told(": restart ") > before, PATIENCE)
        # It continues without the host that was cut off, if there are others, and stays so until the next fault.
        if start.cut and len(start.hosts) > 1:
            start.until(lambda begun=begun: start.told(" on 10.") > begun, PATIENCE)
        if kind == "stopped":
            start.process.wait(PATIENCE)
        if start.cut and len(start.hosts) == 1:
            start.mend()
        results.add(fault=count + 1, kind=kind, whom=whom, **start.layout(), step=step, seconds=round(time.monotonic() - began, 1))
        report(f"{count + 1} of {faults} faults")
        if kind in OF_ALL:
            return kind
        if not noticed and start.process.poll() is None:
            fail(f"{kind} ({whom}): not noticed within {PATIENCE} s; see {start.errors}")
    return "the end"


def harm_and_resume(machine, train, directory, faults, results):
    truth = Truth(train, f"{directory}/whole", SIZES)
    run, number = f"{directory}/run", len(results.records)
    kinds = {k: n for k, n in KINDS.items() if isinstance(machine, Namespaces) or k not in OF_HOSTS}
    while len(results.faults()) < faults or os.path.isdir(run):
        number += 1
        draw = results.draw("start", number)
        start = Start(machine, train, run, draw, directory)
        try:
            expected = faults_of(start, results, faults, draw, kinds)
            start.mend()
            if expected == "the end":
                start.process.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            fail(f"the launch does not end; see {start.errors}")
        finally:
            start.mend()
            start.end()
        status = start.process.returncode
        finished = os.path.exists(f"{run}/result.json")
        results.add(start=number, **start.layout(), status=status, said=start.said())
        if expected == "the end" and not (status == 0 and finished):
            fail(f"the launch ended with status {status}; see {start.errors}")
        if status == 0 and finished:
            with open(start.output) as file:
                truth.check(file.read(), run)
            results.add(end=truth.digest)
            shutil.rmtree(run)
    tell(results, truth)


def tell(results, truth):
    kinds = [f["kind"] for f in results.faults()]
    layouts = {json.dumps([r["hosts"], r["ranks_per_host"], r["workers"]]) for r in results.records if "start" in r}
    result(f"{len(kinds)} faults ({', '.join(f'{kinds.count(k)} × {k}' for k in KINDS if k in kinds)}) of ranks on {len(layouts)} "
           f"layouts; {len(results.ends())} runs came to their end, each with the digest and the {len(truth.losses)} steps of one "
           "process that was never interrupted")


def main(words):
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--results", metavar="FILE.jsonl", help="faults are appended here; what is there is not done again")
    parser.add_argument("--here", action="store_true", help="all ranks on this machine, without namespaces")
    parser.add_argument("--train", default=places.train(), help="the program, built with MPI")
    arguments = parser.parse_args(words)
    results = Results(arguments.results, arguments.seed)
    result(f"seed {results.seed}")
    directory = results.directory or tempfile.mkdtemp(prefix="chaos-")
    os.environ["OMPI_ALLOW_RUN_AS_ROOT"] = os.environ["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    machine = ThisMachine()
    if not arguments.here:
        for name in os.listdir(directory):
            if name.startswith("cut-"):
                os.remove(f"{directory}/{name}")
        try:
            machine = Namespaces(directory, HOSTS)
        except subprocess.CalledProcessError:
            diagnostic("chaos-ranks: no network namespaces (root may make them): all ranks are on this machine, and no host is lost")
    try:
        harm_and_resume(machine, arguments.train, directory, arguments.faults, results)
    finally:
        machine.close()
    shutil.rmtree(directory)


if __name__ == "__main__":
    run_program("chaos-ranks", main)
