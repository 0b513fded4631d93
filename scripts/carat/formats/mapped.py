"""Files mapped into memory, and scratch files for what can't be used as it lies in a file."""
import mmap
import os
import stat
import tempfile
import weakref
from typing import Callable, Optional

from ..errors import CANNOT_WRITE, FormatError, OutputError


class Workspace:
    """All maps of one conversion: what was read is given back to the system between one portion and the next, so that
    the memory in use does not grow with the files.

    Scratch files are made in `directory`, without a name, and are gone with the program.
    """

    def __init__(self, directory: Optional[str] = None) -> None:
        self.directory = directory
        self._maps: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()

    def release(self) -> None:
        """Takes all mapped pages out of this process's memory; they come back when touched."""
        for map_ in list(self._maps):
            map_.madvise(mmap.MADV_DONTNEED)

    def map(self, path: str) -> memoryview:
        """The bytes of a whole regular file, read-only."""
        try:
            # Without O_NONBLOCK the opening of a named pipe would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise FormatError(path, "a readable file", error.strerror or str(error), "check the path and its permissions")
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(path, "a regular file", "a directory or special file", "give the path of a file")
            if status.st_size == 0:
                raise FormatError(path, "data", "an empty file", "fetch or write it again")
            view = self._view(mmap.mmap(descriptor, status.st_size, prot=mmap.PROT_READ))
        except (OSError, ValueError) as error:
            raise FormatError(path, "a file that can be mapped into memory", str(error), "check the file system")
        finally:
            os.close(descriptor)
        refuse_stand_in(path, bytes(view[:512]))
        return view

    def scratch(self, fill: Callable[[Callable[[bytes], object]], None]) -> memoryview:
        """The bytes that `fill` passes to the function it is given, in a file that has no name."""
        try:
            with tempfile.TemporaryFile(dir=self.directory) as file:
                fill(file.write)
                file.flush()
                size = file.tell()
                if size == 0:
                    return memoryview(b"")
                return self._view(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ))
        except OSError as error:
            raise OutputError(f"{self.directory or tempfile.gettempdir()}: can't write a scratch file: {error}",
                              CANNOT_WRITE)

    def _view(self, map_: mmap.mmap) -> memoryview:
        self._maps.add(map_)
        return memoryview(map_)


def refuse_stand_in(path: str, start: Optional[bytes] = None) -> None:
    """Refuses what a download or a clone leaves in the place of a file, by how the file starts. What can't be read is for
    its reader to tell of."""
    if start is None:
        try:
            with open(path, "rb") as file:
                start = file.read(512)
        except OSError:
            return
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs.github.com/spec/"):
        raise FormatError(path, "the file itself", "a pointer of Git LFS, which only says where it is",
                          "fetch it with `git lfs pull` in that repository")
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise FormatError(path, "the file itself", "a web page, such as a server shows for a login, a warning or an error",
                          "open the address in a browser and download the file from there")
