# mypy: disable-error-code="attr-defined,assignment,method-assign"
# What the machine has, no stub tells.
"""Pickles read by the standard library's machine, restricted to a table of names, each with a function written here.

`pickle._Unpickler` is the machine's form in Python, of which `pickle.Unpickler` is the one in C. It can leave long bytes
where they are in the mapped file: a pickle of 800 MiB of arrays converts in some 60 MiB, which takes the one in C 1.7 GiB
with protocol 2. What is overridden below is that, and what a hostile file would use.
"""
import pickle
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from ..errors import FormatError, OutputError
from .mapped import Workspace

# Bytes and text that are longer stay where they are: they are the contents of arrays.
SHORT = 256
# Text up to this size is decoded in memory, longer one to a scratch file.
IN_MEMORY = 1 << 20

REMEDY = "get the file from its source again, or save what it holds as plain lists, NumPy arrays and tensors"


class LongText:
    """Long UTF-8, in place. Protocol 2 writes bytes so: as text whose characters stand for them."""

    def __init__(self, view: memoryview, workspace: Workspace) -> None:
        self._view, self._workspace = view, workspace

    def latin_1(self) -> memoryview:
        def decode(write: Callable[[bytes], object], step: int = 1 << 22) -> None:
            start, end_of_all = 0, len(self._view)
            while start < end_of_all:
                end = min(end_of_all, start + step)
                while end < end_of_all and self._view[end] & 0xC0 == 0x80:   # whole characters only
                    end += 1
                write(str(self._view[start:end], "utf-8").encode("latin-1"))
                self._workspace.release()
                start = end

        if len(self._view) <= IN_MEMORY:
            return memoryview(str(self._view, "utf-8").encode("latin-1"))
        return self._workspace.scratch(decode)


def raw_bytes(value: Any) -> Union[bytes, memoryview]:
    """The bytes that a pickle holds for an array, in whichever way its Python wrote them."""
    if isinstance(value, LongText):
        return value.latin_1()
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, (bytes, memoryview)):
        return value
    raise ValueError("an array without bytes")


class Global:
    """A name that a pickle may use, and what a call of it makes here."""

    def __init__(self, name: str, make: Optional[Callable[..., Any]] = None) -> None:
        self.name, self.make = name, make

    def __call__(self, *arguments: Any) -> Any:
        if self.make is None:
            raise ValueError(f"a call of {self.name}")
        return self.make(*arguments)


class Record:
    """Any object that is only a set of named values, such as an argparse.Namespace."""

    def __init__(self, *_: Any) -> None:
        self.fields: Dict[str, Any] = {}

    def set_state(self, state: Any) -> "Record":
        if isinstance(state, dict):
            self.fields.update(state)
        return self


Table = Mapping[Tuple[str, str], Global]


class _Input:
    """Mapped bytes as the file that a pickle is read from."""

    def __init__(self, data: memoryview, position: int) -> None:
        self.data, self.position = data, position

    def read(self, size: int) -> Union[bytes, memoryview]:
        if not 0 <= size <= len(self.data) - self.position:
            raise EOFError(f"{size} more bytes wanted, the file ends at {len(self.data)}: it is cut short or no pickle")
        part = self.data[self.position:self.position + size]
        self.position += size
        return part if size > SHORT else bytes(part)

    def readline(self) -> bytes:
        line = bytearray()
        while self.position < len(self.data) and not line.endswith(b"\n"):
            part = bytes(self.data[self.position:self.position + (1 << 16)])
            part = part[:part.find(b"\n") + 1 or None]
            line += part
            self.position += len(part)
        return bytes(line)


class Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Reads one pickle from `data`, from `position` on; afterwards `position` is behind it."""

    def __init__(self, data: memoryview, path: str, table: Table, workspace: Workspace, position: int = 0,
                 persistent: Optional[Callable[[Any], Any]] = None) -> None:
        self._input = _Input(data, position)
        super().__init__(self._input)  # type: ignore[arg-type]
        self._path, self._table, self._workspace = path, table, workspace
        if persistent is not None:
            self.persistent_load = persistent

    @property
    def position(self) -> int:
        return self._input.position

    def load(self) -> Any:
        try:
            return super().load()
        except (FormatError, OutputError):
            raise
        except Exception as error:                                           # the machine trusts its file: any may come
            found = "a cut pickle, or none" if isinstance(error, EOFError) and not error.args else str(error)
            raise FormatError(self._path, "a pickle of arrays, lists and tensors",
                              f"{type(error).__name__} at byte {self.position}: {found}", REMEDY)

    def find_class(self, module: Any, name: Any) -> Global:
        known = self._table.get((module, name))
        if known is None:
            raise FormatError(self._path, "a file of plain data",
                              f"the Python object {module}.{name}, which is not read or run", REMEDY)
        return known

    def _decode_string(self, value: Any) -> Any:
        """A str of Python 2: bytes, or text that is nearly always ASCII."""
        return value if isinstance(value, memoryview) else value.decode("latin-1")

    def _long_bytes(self, form: str) -> None:
        self.append(self.read(self._size(form)))

    def _long_text(self, form: str) -> None:
        size = self._size(form)
        text = self.read(size)
        self.append(str(text, "utf-8", "surrogatepass") if size <= SHORT
                    else LongText(memoryview(text), self._workspace))

    def _size(self, form: str) -> int:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def _build(self) -> None:
        """Only objects of ours take a state, and say what is to be in their place. Of others it could replace attributes."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, dict):                                         # attributes of a dictionary: no use here
            return
        if not hasattr(target, "set_state"):
            raise ValueError("a state for what takes none")
        made = self.stack[-1] = target.set_state(state)
        key = next((k for k in reversed(self.memo) if self.memo[k] is target), None)
        if key is not None:
            self.memo[key] = made

    def _new_with_names(self) -> None:
        if self.stack.pop():
            raise ValueError("a call with named arguments")
        self.load_reduce()

    def _set_items(self, items: List[Any], target: Any) -> None:
        """Names and numbers are keys. Of tuples without end within each other the hash would overflow C's stack."""
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items for what is no dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if isinstance(key, tuple) and not all(isinstance(k, (str, bytes, int, float)) for k in key):
                raise ValueError("a key of a dictionary that is neither name nor number")
            target[key] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value], self.stack[-1])

    def _set_marked(self) -> None:
        items = self.pop_mark()
        self._set_items(items, self.stack[-1])

    def _dictionary(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items, self.stack[-1])

    dispatch = {**pickle._Unpickler.dispatch, **{code[0]: operation for code, operation in {  # type: ignore[attr-defined]
        pickle.BINBYTES: lambda u: u._long_bytes("<I"), pickle.BINBYTES8: lambda u: u._long_bytes("<Q"),
        pickle.BYTEARRAY8: lambda u: u._long_bytes("<Q"),
        pickle.BINUNICODE: lambda u: u._long_text("<I"), pickle.BINUNICODE8: lambda u: u._long_text("<Q"),
        pickle.BUILD: _build, pickle.NEWOBJ: pickle._Unpickler.load_reduce,  # type: ignore[attr-defined]
        pickle.NEWOBJ_EX: _new_with_names, pickle.SETITEM: _set_item, pickle.SETITEMS: _set_marked, pickle.DICT: _dictionary,
        # Sets as the list of their items, for the same reason as keys.
        pickle.EMPTY_SET: pickle._Unpickler.load_empty_list,  # type: ignore[attr-defined]
        pickle.ADDITEMS: pickle._Unpickler.load_appends,  # type: ignore[attr-defined]
        pickle.FROZENSET: pickle._Unpickler.load_list,  # type: ignore[attr-defined]
    }.items()}}
