"""How the programs of this folder end: their exit status, and one line for what went wrong."""
import argparse
import signal
import sys
from typing import Any, Callable, NoReturn, Optional, Sequence

from .errors import DATA, USAGE, FormatError, OutputError, UsageError, one_line


class Parser(argparse.ArgumentParser):
    """argparse, but wrong usage ends with status 64."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")


def run(program: str, main: Callable[[Optional[Sequence[str]]], None]) -> NoReturn:
    """Calls `main`; every failure that a person can do something about is one line on the standard error."""

    def stop(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)                                      # so that temporary files go
    try:
        main(None)
        sys.stdout.flush()
    except (FormatError, UsageError, OutputError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(error.status)
    except MemoryError:
        print(f"{program}: not enough memory: the file claims more than this machine has", file=sys.stderr)
        sys.exit(DATA)
    except RecursionError:
        print(f"{program}: lists within lists without end; check what wrote the file", file=sys.stderr)
        sys.exit(DATA)
    except KeyboardInterrupt:
        print(f"{program}: interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    sys.exit(0)
