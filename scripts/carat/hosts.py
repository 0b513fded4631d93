"""Hosts that ranks run on: named on the command line or in a file, and asked whether they answer."""
import concurrent.futures
import os
import shlex
import socket
import subprocess
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from .errors import DATA, FormatError, UsageError

# What ssh ends with when it reaches nobody.
UNREACHED = 255


@dataclass(frozen=True)
class Host:
    """A machine and how many ranks it takes; `name` None is this one, which mpirun is not told of."""

    name: Optional[str]
    ranks: int

    def __str__(self) -> str:
        return self.name or socket.gethostname()

    @property
    def is_local(self) -> bool:
        """Whether its name leads to an address of this machine."""
        if self.name in (None, "localhost", socket.gethostname()):
            return True
        try:
            found = socket.getaddrinfo(self.name, None, proto=socket.IPPROTO_TCP)
        except OSError:
            return False
        for family, _, _, _, address in found:
            with socket.socket(family) as probe:
                try:
                    probe.bind((address[0], 0))
                    return True
                except OSError:
                    pass
        return False


def parse(words: Sequence[str], ranks: int, where: str) -> List[Host]:
    """Hosts of `a` or `a:2` (2 ranks), in that order.

    Raises:
        UsageError: if one has no name, is there twice, or has no number of ranks behind its colon.
    """
    hosts: List[Host] = []
    for word in words:
        name, colon, count = word.partition(":")
        if not name or (colon and not (count.isdecimal() and int(count) > 0)):
            raise UsageError(f"{where}: expected hosts such as a,b,c, or a:2 for 2 ranks there, found {word!r}")
        if name in (h.name for h in hosts):
            raise UsageError(f"{where}: expected each host once, found {name} twice; write {name}:2 for 2 ranks there")
        hosts.append(Host(name, int(count) if colon else ranks))
    return hosts


def read(path: str, ranks: int) -> List[Host]:
    """Hosts of a file as Open MPI and MPICH have them: a line a host, `a`, `a slots=2` or `a:2`; # begins a comment.

    Raises:
        FormatError: if it can't be read or has something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, "a file of hosts, one a line", getattr(error, "strerror", None) or str(error), "check the path")
    words = []
    for number, line in enumerate(lines, 1):
        name, *rest = line.partition("#")[0].split() or [""]
        slots = [w[len("slots="):] for w in rest if w.startswith("slots=")]
        if len(rest) > len(slots) + sum(w.startswith("max_slots=") for w in rest) or len(slots) > 1:
            raise FormatError(f"{path}, line {number}", "a host, such as: a slots=2", repr(line), "correct the line", DATA)
        if name:
            words.append(f"{name}:{slots[0]}" if slots else name)
    if not words:
        raise FormatError(path, "hosts, one a line", "none", "name them")
    return parse(words, ranks, path)


def ask(host: Host, program: str, agent: Sequence[str], seconds: float) -> Tuple[str, bool]:
    """Why a rank can't be started on a host, and whether that is for good; an empty text if it can.

    Args:
        program: the trainer's path, that has to be there.
        agent: what reaches a host, such as ssh.
        seconds: for how long an answer is awaited.
    """
    here = os.getcwd()
    test = f"cd {shlex.quote(here)} && test -x {shlex.quote(program)}"
    words = ["sh", "-c", test] if host.is_local else [*agent, str(host), test]
    try:
        # In a session of its own: a Control-C is for the run, which then saves.
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=seconds, start_new_session=True)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} s", False
    except OSError as error:
        raise UsageError(f"{words[0]} can't be started: {error.strerror}; name what reaches a host with --agent")
    if done.returncode == 0:
        return "", False
    if done.returncode == UNREACHED and not host.is_local:
        said = done.stderr.strip().splitlines()
        return said[-1] if said else "no connection", False
    return f"no program {program}, or no directory {here}", True


def answering(hosts: Sequence[Host], program: str, agent: Sequence[str], seconds: float) -> Tuple[List[Host], Dict[Host, Tuple[str, bool]]]:
    """The hosts that ranks can be started on, and why not on each other one; all are asked at once."""
    with concurrent.futures.ThreadPoolExecutor(min(32, len(hosts))) as pool:
        answers = dict(zip(hosts, pool.map(lambda host: ask(host, program, agent, seconds), hosts)))
    return [h for h in hosts if not answers[h][0]], {h: a for h, a in answers.items() if a[0]}


def told(hosts: Sequence[Host]) -> str:
    """Hosts in words, with the ranks of all."""
    ranks, names = sum(h.ranks for h in hosts), ", ".join(map(str, hosts))
    return f"{ranks} rank{'' if ranks == 1 else 's'} on {names}"
