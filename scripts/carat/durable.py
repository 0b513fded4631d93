"""Files that are there whole or not at all, also after a loss of power: written beside their place, synced, then moved to it."""
import contextlib
import errno
import os
import shutil
import tempfile
from typing import Iterator, Union

from .errors import CANNOT_CREATE, CANNOT_WRITE, OutputError


@contextlib.contextmanager
def beside(path: str) -> Iterator[str]:
    """A directory beside `path`, to write in what `put` then moves to its place. It goes at the end, with all that is left in it.

    Raises:
        OutputError: of status 73 if nothing can be created there, of 74 if what the block writes can't be.
    """
    path = os.path.abspath(path)
    try:
        temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    except OSError as error:
        raise OutputError(f"{path}: can't create it: {error.strerror}; choose another output", CANNOT_CREATE)
    try:
        yield temporary
    except OSError as error:
        raise OutputError(f"{path}: can't write it: {error.strerror}", CANNOT_WRITE)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put(part: str, path: str) -> None:
    """Moves a file to its place, where it replaces what is there."""
    _sync(part)
    os.replace(part, path)
    _sync(os.path.dirname(os.path.abspath(path)))


def put_directory(part: str, path: str) -> None:
    """Moves a directory of files to its place as a whole, or, where there is one with something in it, each of the files into it."""
    names = os.listdir(part)
    for name in names:
        _sync(os.path.join(part, name))
    _sync(part)
    os.chmod(part, 0o777 & ~_umask())                                        # a temporary one is its owner's only
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        for name in names:
            os.replace(os.path.join(part, name), os.path.join(path, name))
        _sync(path)
    _sync(os.path.dirname(os.path.abspath(path)))


def write(path: str, content: Union[str, bytes]) -> None:
    """Writes a file, or replaces it. Text is UTF-8.

    Raises:
        OutputError: see `beside`.
    """
    with beside(path) as temporary:
        part = os.path.join(temporary, "part")
        with open(part, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        put(part, path)


def _sync(path: str) -> None:
    """Waits until a file or directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):                 # some network file systems can't
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
