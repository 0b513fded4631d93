"""The entries of a zip file as bytes: stored ones where they lie in the mapped file, compressed ones through a scratch file.

`zipfile` reads the directory and inflates. Only the mapping of stored entries is ours: arrays of any size then take no memory.
"""
import io
import struct
import zipfile
import zlib
from typing import IO, Any, Callable, Dict, List

from ..errors import FormatError
from .mapped import Workspace

_LOCAL_HEADER = 30
_REMEDY = "the file is damaged or of another kind; fetch or write it again"


class ZipEntries:
    """The names and contents of a zip file. Nothing is unpacked to a path: only names within the file matter."""

    def __init__(self, view: memoryview, path: str, workspace: Workspace) -> None:
        self._view, self._path, self._workspace = view, path, workspace
        try:
            self._archive = zipfile.ZipFile(io.BufferedReader(_Readable(view)))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error, EOFError) as error:
            raise FormatError(path, "a zip file", str(error), _REMEDY)
        self._infos: Dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            if info.filename in self._infos:
                raise FormatError(path, "every name once in the zip file", f"'{info.filename}' twice", _REMEDY)
            self._infos[info.filename] = info

    @property
    def names(self) -> List[str]:
        return list(self._infos)

    def read(self, name: str, checked: bool = True) -> memoryview:
        """An entry's bytes, of exactly the size that the zip file's directory gives.

        Not `checked`: their checksum is not looked at, which torch.save may leave out."""
        info = self._infos[name]
        try:
            with self._archive.open(info) as entry:                          # whose local header is checked here
                content = self._stored(info) if info.compress_type == zipfile.ZIP_STORED else self._inflated(entry)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
                struct.error) as error:
            raise FormatError(self._path, f"a whole entry '{name}' of the zip file", str(error), _REMEDY)
        found = "" if len(content) == info.file_size else f"{len(content)} bytes where {info.file_size} should be"
        if checked and not found and self._checksum(content) != info.CRC:
            found = "another checksum than its own"
        if found:
            raise FormatError(self._path, f"a whole entry '{name}' of the zip file", found, _REMEDY)
        return content

    def _checksum(self, content: memoryview) -> int:
        checksum = 0
        for start in range(0, len(content), 1 << 22):
            checksum = zlib.crc32(content[start:start + (1 << 22)], checksum)
            self._workspace.release()
        return checksum

    def _stored(self, info: zipfile.ZipInfo) -> memoryview:
        at = info.header_offset
        start = at + _LOCAL_HEADER + sum(struct.unpack("<2H", self._view[at + 26:at + 30]))
        return self._view[start:start + info.compress_size]

    def _inflated(self, entry: IO[bytes]) -> memoryview:
        def inflate(write: Callable[[bytes], object]) -> None:
            while part := entry.read(1 << 22):
                write(part)
                self._workspace.release()

        return self._workspace.scratch(inflate)


class _Readable(io.RawIOBase):
    """Mapped bytes as the file that `zipfile` wants."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._position = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError("a position before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        part = self._view[self._position:self._position + len(buffer)]
        buffer[:len(part)] = part
        self._position += len(part)
        return len(part)
