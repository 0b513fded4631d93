"""One start of a run's ranks under mpirun: what it says is passed on and remembered, for it names who died; and how it is ended."""
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Dict, List, Optional, Sequence

from .errors import UsageError
from .hosts import Host

# What is said when a job can only end: by the program, by Open MPI.
_ENDING = re.compile(r"ending all ranks|MPI_ABORT was invoked|exited on signal|lost communication|BAD TERMINATION")
# How long mpirun then takes at most, where all hosts answer.
_GRACE = 15
_KEPT_LINES = 400


def mpirun_words(mpirun: Sequence[str], hosts: Sequence[Host], agent: Optional[Sequence[str]]) -> List[str]:
    """mpirun and its options for ranks on these hosts. Open MPI's and MPICH's differ."""
    ranks = str(sum(h.ranks for h in hosts))
    named = ",".join(f"{h.name}:{h.ranks}" for h in hosts if h.name)
    try:
        version = subprocess.run([mpirun[0], "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError as error:
        raise UsageError(f"{mpirun[0]} can't be started: {error.strerror}; install it, or name it with --mpirun")
    if "HYDRA" in version:
        reach = ["-launcher", "ssh", "-launcher-exec", *agent] if agent else []
        return [*mpirun, *reach, *(["-hosts", named] if named else []), "-n", ranks]
    reach = ["--mca", "plm_rsh_agent", " ".join(agent)] if agent else []
    # Unbound, the ranks of a host divide its CPUs among themselves.
    return [*mpirun, *reach, "--bind-to", "none", *(["--host", named] if named else ["--oversubscribe"]), "-n", ranks]


class Job:
    """mpirun, or the program itself where it runs as one process here.

    Attributes:
        process: the one that was started, which a terminal's Control-C does not reach.
    """

    def __init__(self, words: Sequence[str], listens: bool) -> None:
        """`listens`: whether the standard error goes through here; a single process keeps the terminal."""
        self._name = os.path.basename(words[0])
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE if listens else None,
                                        start_new_session=True)
        self.lines: List[str] = []
        self._ending_since: Optional[float] = None
        self._reader = threading.Thread(target=self._listen, daemon=True)
        if listens:
            self._reader.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        rest, open_end = b"", True
        while True:
            piece = os.read(self.process.stderr.fileno(), 1 << 16)
            if not piece:
                self.process.stderr.close()
                return
            try:
                if open_end:
                    os.write(sys.stderr.fileno(), piece)
            except OSError:
                open_end = False
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace")
                self.lines = [*self.lines[-_KEPT_LINES:], text]
                if self._ending_since is None and _ENDING.search(text):
                    self._ending_since = time.monotonic()

    def status(self) -> Optional[int]:
        """The exit status, of a signal as a shell tells it; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        if self._reader.ident:
            # What a rank left behind may hold the pipe open.
            self._reader.join(2)
        return 128 - code if code < 0 else code

    @property
    def is_stuck(self) -> bool:
        """Whether it said that it ends, and does not: mpirun waits for a host that was cut off, for a quarter of an hour."""
        return self._ending_since is not None and time.monotonic() - self._ending_since > _GRACE

    def send(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it, and all that it started on this machine, stopped ranks too. Daemons elsewhere end with their connection."""
        family = descendants(self.process.pid)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, born in family.items():
            if _born(pid) == born:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def who_died(self) -> str:
        """The rank, its host and its signal or status, as far as mpirun or the program told."""
        text = "\n".join(self.lines)
        found = re.search(r"^train: (.*\brank .*: no sign of life for \S+ s)", text, re.MULTILINE)
        if found:
            return found[1]
        found = re.search(r"process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)", text)
        if found:
            return f"rank {found[1]} on host {found[2]}: killed by {_signal(int(found[3]))}"
        found = re.search(r"Remote daemon: \S+ on node (\S+)", text)
        if found:
            return f"host {found[1]}: connection lost"
        found = re.search(r"Process name: \[\[\d+,\d+\],(\d+)\]\s*\n\s*Exit code:\s*(\d+)", text)
        if found:
            return f"rank {found[1]}: status {found[2]}"
        found = re.search(r"RUNNING AT (\S+)\s*\n.*EXIT CODE: (\d+)", text)
        if found:
            return f"a rank on host {found[1]}: status {found[2]}"
        status = self.status() or 0
        return f"{self._name}: killed by {_signal(status - 128)}" if status > 128 and status != 255 else f"status {status}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _born(pid: int) -> Optional[str]:
    """The instant that a process began, which tells it from a later one of its number."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def descendants(root: int) -> Dict[int, Optional[str]]:
    """Processes that one started, and those that they started, with the instant that each began."""
    parents: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
            except (OSError, IndexError):
                pass
    family, todo = {}, [root]
    while todo:
        for child in parents.get(todo.pop(), []):
            family[child] = _born(child)
            todo.append(child)
    return family
