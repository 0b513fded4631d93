"""Starts a run's ranks on hosts, and starts them again from the newest checkpoint when ranks die or hosts are gone.

  scripts/launch --hosts a,b,c --ranks-per-host 2 -- train run --data my_data --output runs/mine
  scripts/launch --hostfile hosts.txt --restarts 10 -- train run --data my_data --output runs/mine
  scripts/launch --ranks-per-host 2 -- train run --output runs/mine          on this machine

Before each start every host is asked whether it answers; the run continues with those that do, on fewer ranks if need be, to the
same bits. Errors that would come again (settings, data, a full disk: docs/ERRORS.md) end it. Control-C, SIGTERM and what else
stops a run are passed on: it writes its checkpoint, and is not started again. `train` alone is this checkout's or package's program.
"""
import argparse
import os
import shlex
import signal
import sys
import time
from typing import Any, List, Optional, Sequence

from .. import hosts as host_list
from .. import places
from ..command_line import value_of
from ..errors import CANNOT_CREATE, MISSING_PACKAGE, OutputError, UsageError, one_line
from ..hosts import Host
from ..job import Job, mpirun_words
from ..program import Parser, diagnostic
from ..run_directory import RunDirectory

# Exit statuses of docs/ERRORS.md that would come again: the same settings, data, program and disk.
_PERMANENT = {2, 64, 65, 69, 70, 71, CANNOT_CREATE, 74}
_LOCKED = 75
_LOST_RANK = 76
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_LONGEST_PAUSE = 60


def parser() -> Parser:
    p = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
               usage="%(prog)s [options] -- train run --output RUN …")
    p.add_argument("--hosts", metavar="A,B:2,…", help="where ranks run; :2 for 2 ranks there; by default this machine")
    p.add_argument("--hostfile", metavar="FILE", help="the same from a file: a line a host, such as: a slots=2")
    p.add_argument("--ranks-per-host", type=_count, default=1, metavar="N", help="for hosts without a number of their own (1)")
    p.add_argument("--restarts", type=_count_or_none, default=5, metavar="N",
                   help="how often in a row it starts again without a checkpoint in between (5); one that wrote a checkpoint counts anew")
    p.add_argument("--least-hosts", type=_count, default=1, metavar="N", help="with fewer than these it does not start (1)")
    p.add_argument("--answer-within", type=_seconds, default=10.0, metavar="SECONDS", help="for a host that is asked (10)")
    p.add_argument("--stall-after", type=_seconds, default=600.0, metavar="SECONDS",
                   help="a run that writes nothing into its directory for so long hangs: it is ended and started again (600; 0: never)")
    p.add_argument("--pause", type=_seconds, default=2.0, metavar="SECONDS",
                   help="before it starts again; twice as long each time without a checkpoint in between, a minute at most (2)")
    p.add_argument("--mpirun", default="mpirun", metavar="WORDS", help='Open MPI\'s or MPICH\'s, with options: "mpirun --mca btl tcp,self"')
    p.add_argument("--agent", metavar="WORDS", help="what reaches a host: WORDS host command (ssh -o BatchMode=yes)")
    return p


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text!r}")
    return int(text)


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 on, found {text!r}")
    return value


def tell(text: str) -> None:
    diagnostic(one_line(f"launch: {text}"))


class Launch:
    """A run that is started until it has come to its end.

    Attributes:
        stop: the first signal that asked it to stop; None so far.
    """

    def __init__(self, a: argparse.Namespace, hosts: Sequence[Host], command: Sequence[str]) -> None:
        self.options, self.hosts, self.program, self.words = a, list(hosts), command[0], list(command[1:])
        self.run = RunDirectory(self.words)
        self.mpirun, self.agent = shlex.split(a.mpirun), shlex.split(a.agent) if a.agent else None
        self.requeue = value_of("--requeue-exit", self.words)
        self.stop: Optional[int] = None
        self.job: Optional[Job] = None
        for number in _STOPS:
            # nohup's stay ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._asked)

    def _asked(self, number: int, _: Any) -> None:
        is_second, self.stop = self.stop is not None, self.stop or number
        if self.job and is_second and number == signal.SIGINT:
            self.job.kill()
        elif self.job and not is_second:
            # mpirun kills ranks soon after the others; this one it only passes on.
            self.job.send(signal.SIGUSR1)

    def go(self) -> int:
        """Returns the exit status."""
        restarts, before, status = 0, -1, 0
        while True:
            here = self._answering()
            if self.stop:
                return self._stopped(status)
            if here:
                before = self.run.newest_step
                tell(f"{host_list.told(here)}, {f'from step {before}' if before else 'from the start'}")
                status = self._start(here)
                if self.stop:
                    return self._stopped(status)
                if self._is_end(status, restarts > 0):
                    return status
            else:
                status = _LOST_RANK
            step = self.run.newest_step
            restarts = 1 if step > before >= 0 else restarts + 1
            if restarts > self.options.restarts:
                tell(f"not started again: {self.options.restarts} restarts without a checkpoint in between are allowed; the same "
                     f"command continues from {f'step {step}' if step else 'the start'}")
                return status
            pause = min(_LONGEST_PAUSE, self.options.pause * 2 ** (restarts - 1))
            tell(f"restart {restarts} of {self.options.restarts}, from {f'step {step}' if step else 'the start'}, in {pause:g} s")
            self._wait(pause)

    def _answering(self) -> List[Host]:
        if all(h.name is None for h in self.hosts):
            return self.hosts
        agent = self.agent or ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, int(self.options.answer_within))}"]
        here, missing = host_list.answering(self.hosts, self.program, agent, self.options.answer_within)
        for host, (reason, is_for_good) in missing.items():
            if is_for_good:
                raise OutputError(f"{host}: {reason} there; hosts need the same program and directory", MISSING_PACKAGE)
            tell(f"host {host} does not answer: {reason}")
        if len(here) < self.options.least_hosts:
            tell(f"{len(here)} of {len(self.hosts)} hosts answer, fewer than --least-hosts {self.options.least_hosts}")
            return []
        return here

    def _start(self, here: Sequence[Host]) -> int:
        alone = len(here) == 1 and here[0].ranks == 1 and here[0].is_local
        words = [] if alone else mpirun_words(self.mpirun, here, self.agent)
        self.job = Job([*words, self.program, *self.run.words_of_start()], listens=not alone)
        if self.stop:
            self.job.send(signal.SIGUSR1)
        watched, since = self.run.trace(), time.monotonic()
        while True:
            status = self.job.status()
            if status is not None:
                return status
            time.sleep(0.2)
            now, trace = time.monotonic(), self.run.trace()
            if trace != watched:
                watched, since = trace, now
            stalled = 0 < self.options.stall_after < now - since
            if stalled:
                tell(f"nothing was written into {self.run.path} for {self.options.stall_after:g} s (--stall-after): ending all ranks")
            if stalled or self.job.is_stuck:
                self.job.kill()
                return _LOST_RANK

    def _is_end(self, status: int, is_restart: bool) -> bool:
        """Whether it has come to an end that a restart can't better; tells what happened if it has not."""
        assert self.job
        if status == 0 or (self.requeue and str(status) == self.requeue):
            if not self.run.is_finished:
                tell("the run was asked to stop by someone else; not started again")
            return True
        # What a lost host's ranks hold until they notice is free soon.
        if status in _PERMANENT or (status == _LOCKED and not is_restart):
            tell(f"{self.job.who_died()}; it would come again: not started again")
            return True
        tell(f"{self.job.who_died()}; {self._newest()}")
        return False

    def _stopped(self, status: int) -> int:
        tell(f"stopped by {signal.Signals(self.stop or 0).name}{f', status {status}' if status else ''}; {self._newest()}")
        return 128 + signal.SIGINT if self.stop == signal.SIGINT else status

    def _newest(self) -> str:
        step = self.run.newest_step
        return f"the newest checkpoint is of step {step}" if step else "there is no checkpoint yet"

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.stop is None and time.monotonic() < until:
            time.sleep(min(0.2, seconds))


def hosts_of(a: argparse.Namespace) -> List[Host]:
    if a.hosts and a.hostfile:
        raise UsageError("--hosts and --hostfile both name hosts: give one of them")
    if a.hosts:
        return host_list.parse(a.hosts.split(","), a.ranks_per_host, "--hosts")
    return host_list.read(a.hostfile, a.ranks_per_host) if a.hostfile else [Host(None, a.ranks_per_host)]


def command_of(words: Sequence[str]) -> List[str]:
    """The program's path and its words."""
    if list(words[1:2]) != ["run"]:
        raise UsageError(f"expected train run … after --, found {shlex.join(words[:2]) if words else 'nothing'}; see --help")
    program = words[0] if os.path.sep in words[0] else places.train() if words[0] == "train" else words[0]
    return [os.path.abspath(program) if os.path.sep in program else program, *words[1:]]


def main(arguments: Optional[Sequence[str]]) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    at = given.index("--") if "--" in given else len(given)
    a = parser().parse_args(given[:at])
    hosts, command = hosts_of(a), command_of(given[at + 1:])
    if not os.access(command[0], os.X_OK):
        raise OutputError(f"no program {command[0]}; build it (docs/RANKS.md), or name it in place of train", MISSING_PACKAGE)
    return Launch(a, hosts, command).go()
