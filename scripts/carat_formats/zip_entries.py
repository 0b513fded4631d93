"""The entries of a zip file as bytes in the mapped file; compressed ones through a scratch file."""
import io
import struct
import zipfile
import zlib
from typing import Callable, Dict, List

from .errors import FormatError
from .mapped import Workspace

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_REMEDY = "the file is damaged or of another kind; fetch or write it again"
# A deflated byte stands for at most 1032 bytes: what claims more is no honest file.
_GREATEST_RATIO = 1032


class ZipEntries:
    """The names and contents of a zip file. Nothing is unpacked to a path: only names within the file matter."""

    def __init__(self, view: memoryview, path: str, workspace: Workspace) -> None:
        self._view, self._path, self._workspace = view, path, workspace
        try:
            with zipfile.ZipFile(_Readable(view)) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error, EOFError) as error:
            raise FormatError(path, "a zip file", str(error), _REMEDY)
        self._infos: Dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self._infos:
                raise FormatError(path, "every name once in the zip file", f"'{info.filename}' twice", _REMEDY)
            self._infos[info.filename] = info

    @property
    def names(self) -> List[str]:
        return list(self._infos)

    def read(self, name: str) -> memoryview:
        """An entry's bytes, of exactly the size that the zip file's directory gives."""
        info = self._infos[name]
        data = self._stored(info)
        if info.compress_type == zipfile.ZIP_STORED:
            if info.compress_size != info.file_size:
                raise self._damaged(name, "two sizes")
            return data
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise FormatError(self._path, f"'{name}' stored or deflated", f"method {info.compress_type}", "save it anew")
        if info.file_size > info.compress_size * _GREATEST_RATIO + 64:
            raise self._damaged(name, f"{info.compress_size} bytes that stand for {info.file_size}")
        inflated = self._workspace.scratch(lambda write: self._inflate(name, data, info.file_size, write))
        return inflated

    def _stored(self, info: zipfile.ZipInfo) -> memoryview:
        start = info.header_offset
        if info.flag_bits & 1:
            raise FormatError(self._path, f"'{info.filename}' readable", "an encrypted entry", "save it anew")
        if start < 0 or start + _LOCAL_HEADER.size > len(self._view):
            raise self._damaged(info.filename, "no entry where the directory says")
        header = _LOCAL_HEADER.unpack(self._view[start:start + _LOCAL_HEADER.size])
        start += _LOCAL_HEADER.size + header[9] + header[10]
        if header[0] != b"PK\x03\x04" or start + info.compress_size > len(self._view):
            raise self._damaged(info.filename, "no entry where the directory says")
        return self._view[start:start + info.compress_size]

    def _inflate(self, name: str, data: memoryview, size: int, write: Callable[[bytes], object]) -> None:
        inflater = zlib.decompressobj(-15)
        done = 0
        rest = b""
        position, step = 0, 1 << 20
        try:
            while not inflater.eof:
                if not rest:
                    rest = bytes(data[position:position + step])
                    position += len(rest)
                fed = bool(rest)
                part = inflater.decompress(rest, 1 << 22)
                rest = inflater.unconsumed_tail
                done += len(part)
                if done > size or not fed and not part:
                    break
                write(part)
                self._workspace.release()
        except zlib.error as error:
            raise self._damaged(name, str(error))
        if done != size:
            raise self._damaged(name, f"{done} bytes or more where {size} should be")

    def _damaged(self, name: str, found: str) -> FormatError:
        return FormatError(self._path, f"a whole entry '{name}' of the zip file", found, _REMEDY)


class _Readable(io.RawIOBase):
    """Mapped bytes as the file that `zipfile` wants."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._position = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError("a position before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        part = self._view[self._position:self._position + len(buffer)]
        buffer[:len(part)] = part
        self._position += len(part)
        return len(part)
