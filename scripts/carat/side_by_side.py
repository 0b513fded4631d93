"""Runs of the trainer side by side: each on cores of its own, with what it says in a log beside its directory."""
import os
import re
import subprocess
from typing import List, NamedTuple, Optional, Sequence, Tuple

from . import core_sets
from .errors import USAGE, OutputError


class Place(NamedTuple):
    """Where one of several runs at a time goes.

    Attributes:
        cpus: of all hardware threads of its cores.
        workers: how many a limit of CPU time leaves it, where those are fewer than its cores.
    """
    cpus: List[int]
    workers: Optional[int]

    def __str__(self) -> str:
        return f"on CPUs {core_sets.written(self.cpus)}"


def check_program(train: str) -> None:
    """Refuses a trainer that is not there."""
    if not os.access(train, os.X_OK):
        raise OutputError(f"no program {train}; build it: swift build -c release", 66)


def places(train: str, jobs: int) -> Tuple[List[Place], str]:
    """A place for each of so many runs at a time, and a line that says where they are."""
    machine = core_sets.look(train)
    if jobs > machine.cores:
        raise OutputError(f"--jobs {jobs}: expected a core for each run at a time, found {machine.cores}; give at most "
                          f"--jobs {machine.cores}", USAGE)
    sets = core_sets.core_sets(machine.nodes, jobs)
    # A limit of time is of all runs together, and each sees it as its own.
    share = max(1, int(machine.limit / jobs)) if machine.limit else None
    found = [Place(core_sets.cpus(cores), share if share and share < len(cores) else None) for cores in sets]
    limit = f", {share} worker{'' if share == 1 else 's'} each by a limit of CPU time ({machine.limit:g} CPUs)" if share else ""
    return found, f"{jobs} at a time, on CPUs {'; '.join(core_sets.written(place.cpus) for place in found)}{limit}"


class Started:
    """A run under way, or ended.

    Attributes:
        log: the file with what it says, after what earlier starts said.
    """

    def __init__(self, train: str, directory: str, options: Sequence[str], place: Optional[Place] = None,
                 own_session: bool = False) -> None:
        """Starts a run in its directory, or continues with the one that is there.

        Args:
            options: of `train run`, but for --output and --resume.
            place: the CPUs that it gets; None for all.
            own_session: whether a terminal's Control-C does not reach it.
        """
        os.makedirs(directory, exist_ok=True)
        before = os.sched_getaffinity(0) if place else None
        options = list(options)
        if place and place.workers and not any(o == "--workers" or o.startswith("--workers=") for o in options):
            options += ["--workers", str(place.workers)]
        self.log = directory + ".log"                                        # the run's own files are the program's
        with open(self.log, "a") as log:
            self._start = log.tell()
            try:
                if place:
                    os.sched_setaffinity(0, place.cpus)                      # of this thread; a process that it starts inherits it
                self.process = subprocess.Popen(
                    [train, "run", *options, "--output", directory, "--resume", "auto"], stdout=log, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, start_new_session=own_session)
            finally:
                if before:
                    os.sched_setaffinity(0, before)

    def said(self) -> str:
        """What it said since this start."""
        with open(self.log, "rb") as file:
            file.seek(self._start)
            return file.read().decode("utf-8", "replace")

    def epoch(self) -> Tuple[int, int]:
        """The epoch that it ended last, and how many there are; 0, 0 before the first."""
        found = re.findall(r"^epoch (\d+)/(\d+)", self.said(), re.MULTILINE)
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
