"""What can go wrong, in one line each, with the exit status it ends the program with."""
import contextlib
import unicodedata
from typing import Iterator, List

USAGE = 64
DATA = 65
MISSING_PACKAGE = 69
CANNOT_CREATE = 73
CANNOT_WRITE = 74


class FormatError(Exception):
    """A file that is not what it should be: the file, what was expected, what was found, what to do."""

    def __init__(self, file: str, expected: str, found: str, remedy: str, status: int = DATA) -> None:
        super().__init__(one_line(f"{file}: expected {expected[:400]}, found {found[:400]}; {remedy}"))
        self.status = status


class NoLabels(FormatError):
    """A file without labels."""


class FormatErrors(FormatError):
    """Several of them, a line each."""

    # More lines than these help nobody.
    MOST = 20

    def __init__(self, errors: List[FormatError]) -> None:
        lines = [str(error) for error in errors[:self.MOST]]
        if len(errors) > self.MOST:
            lines.append(f"and {len(errors) - self.MOST} more")
        Exception.__init__(self, "\n  ".join([f"{len(errors)} things are wrong:", *lines]))
        self.status = errors[0].status


class Problems:
    """What is wrong, collected so that all of it can be told at once."""

    def __init__(self) -> None:
        self.errors: List[FormatError] = []

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Continues after the part of the program inside, if that found something wrong."""
        try:
            yield
        except FormatErrors:
            raise
        except FormatError as error:
            if str(error) not in map(str, self.errors):
                self.errors.append(error)

    def tell(self) -> None:
        """Raises what was collected, if anything."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise FormatErrors(self.errors)


class UsageError(Exception):
    """Options that do not fit each other."""

    status = USAGE


class OutputError(Exception):
    """Something that can't be created or written."""

    def __init__(self, message: str, status: int = CANNOT_WRITE) -> None:
        super().__init__(one_line(message))
        self.status = status


def one_line(text: str) -> str:
    """Names in a file are anybody's text: control characters are shown escaped, so that they can't drive a terminal."""
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else f"\\u{{{ord(c):x}}}" for c in text)


class ProgramError(Exception):
    """What the trainer refused or failed at, in its words; `status` is its exit status (`train --help`)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(ProgramError, ValueError):
    """Options, settings or data that are not right."""


class DivergedError(ProgramError, ArithmeticError):
    """A step or scores that are not finite."""


class ShortageError(ProgramError, MemoryError):
    """Too little memory."""


class FileError(ProgramError, OSError):
    """An output that can't be created or written, or that another run writes to."""

    def __init__(self, message: str, status: int) -> None:
        OSError.__init__(self, message)
        self.status = status


def program_error(message: str, status: int) -> ProgramError:
    """The exception for an exit status of the trainer."""
    kind = {2: DivergedError, USAGE: RefusedError, DATA: RefusedError, 71: ShortageError, CANNOT_CREATE: FileError,
            CANNOT_WRITE: FileError, 75: FileError}.get(status, ProgramError)
    return kind(message, status)
