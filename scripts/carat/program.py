"""How the programs of this folder start and end: packages they need, what they print, and their exit status.

All they print goes through here. A diagnostic that can't be written is dropped; a result that can't be written is status 74.
"""
import argparse
import importlib.util
import os
import signal
import sys
from typing import Any, Callable, NoReturn, Optional, Sequence, TextIO

from .errors import CANNOT_WRITE, DATA, MISSING_PACKAGE, FormatError, OutputError, ProgramError, UsageError, one_line

_PYTHON = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python")
_RESTARTED = "CARAT_PYTHON_RESTARTED"
# Popped, so that programs which this one starts can be restarted too.
_restarted = os.environ.pop(_RESTARTED, None) is not None
_running: Optional[str] = None


class Parser(argparse.ArgumentParser):
    """argparse by the name that the program was started under; wrong usage ends with status 64."""

    def __init__(self, **options: Any) -> None:
        super().__init__(prog=_running, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help, which is a result."""
        if message:
            result(message.rstrip("\n"))


def result(text: str) -> None:
    """Lines on the standard output."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        _discard(sys.stdout)
        raise OutputError(f"the standard output can't be written: {getattr(error, 'strerror', None) or error}", CANNOT_WRITE)


def diagnostic(text: str, end: str = "\n") -> None:
    """Text on the standard error, if that can be written."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _discard(sys.stderr)


def need(*packages: str) -> None:
    """Starts the program again with a Python that has these packages, if this one has not. Call it before any work."""
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if not missing:
        return
    if _running is not None and not _restarted and os.path.isfile(_PYTHON):
        os.environ[_RESTARTED] = "1"
        extras = [extra for package, extra in (("matplotlib", "--plots"), ("optuna", "--search")) if package in missing]
        command = ["-m", *_running.split()] if " " in _running else [os.path.abspath(sys.argv[0])]
        os.execv(_PYTHON, [_PYTHON, *extras[:1], *command, *sys.argv[1:]])
    raise OutputError(f"{sys.executable} has no {' and no '.join(missing)}; install the packages with pip", MISSING_PACKAGE)


def run(program: str, main: Callable[[Optional[Sequence[str]]], Optional[int]]) -> NoReturn:
    """Calls `main` and ends with the status that it returns; every failure that a person can do something about is one
    line on the standard error."""
    global _running
    _running = program
    _open_streams()
    signal.signal(signal.SIGTERM, _stop)                                     # so that temporary files go
    sys.exit(_status(program, main))


def _status(program: str, main: Callable[[Optional[Sequence[str]]], Optional[int]]) -> int:
    try:
        return main(None) or 0
    except (FormatError, UsageError, OutputError) as error:
        # A FormatError shows control characters escaped already, and may list several things, a line each.
        diagnostic(f"{program}: {error if isinstance(error, FormatError) else one_line(str(error))}")
        return error.status
    except ProgramError as error:
        diagnostic(f"{program}: {one_line(str(error))}")
        return error.status if error.status > 0 else 128 - error.status
    except SystemExit as end:                                                # of --help
        return end.code if isinstance(end.code, int) else 0
    except MemoryError:
        diagnostic(f"{program}: not enough memory: the file claims more than this machine has")
        return DATA
    except RecursionError:
        diagnostic(f"{program}: lists within lists without end; check what wrote the file")
        return DATA
    except OSError as error:                                                 # of a file that no function says more of
        diagnostic(f"{program}: {one_line(str(error.filename or 'a file'))}: {error.strerror or error}")
        return CANNOT_WRITE
    except KeyboardInterrupt:
        diagnostic(f"{program}: interrupted; nothing was written")
        return 130


def _stop(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _open_streams() -> None:
    """Closed descriptors 0 to 2 are opened, or the first file would become one of them: read-only, so that to write a
    result fails. What the locale's encoding has no character for is shown escaped."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)       # takes the lowest number that is free
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(descriptor, "w", errors="backslashreplace", closefd=False))
        else:
            stream.reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """What is left in a stream's buffer would fail again at the program's end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
    except (OSError, ValueError):
        pass
