"""A pickle machine of our own that builds data and nothing else.

Python's own unpickler imports and calls whatever a file names. This one knows a fixed table of names, each with a
function written here; any other name ends the reading. Long strings and bytes stay in the mapped file.

The format: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from .errors import FormatError
from .mapped import Workspace

# Strings and bytes that are longer stay where they are: they are the contents of arrays.
SHORT = 256
# Text up to this size is decoded in memory, longer one to a scratch file.
IN_MEMORY = 1 << 20
MOST_DIGITS = 4096

REMEDY = "get the file from its source again, or save what it holds as plain lists, NumPy arrays and tensors"


class Blob:
    """Long bytes, in place: `text` tells that they are the UTF-8 of a string whose characters stand for bytes."""

    def __init__(self, view: memoryview, text: bool, workspace: Workspace) -> None:
        self.view, self.text, self.workspace = view, text, workspace

    def bytes(self) -> memoryview:
        if not self.text:
            return self.view

        def decode(write: Callable[[bytes], object], step: int = 1 << 22) -> None:
            start, end_of_all = 0, len(self.view)
            while start < end_of_all:
                end = min(end_of_all, start + step)
                while end < end_of_all and self.view[end] & 0xC0 == 0x80:    # whole characters only
                    end += 1
                write(str(self.view[start:end], "utf-8").encode("latin-1"))
                self.workspace.release()
                start = end

        if len(self.view) <= IN_MEMORY:
            return memoryview(str(self.view, "utf-8").encode("latin-1"))
        return self.workspace.scratch(decode)


Bytes = Union[bytes, str, Blob]


def raw_bytes(value: Any) -> Union[bytes, memoryview]:
    """The bytes that a pickle holds for an array, in whichever way its Python wrote them."""
    if isinstance(value, Blob):
        return value.bytes()
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, bytes):
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

    def set_state(self, state: Any) -> None:
        if isinstance(state, dict):
            self.fields.update(state)


Table = Mapping[Tuple[str, str], Global]

_MARK = object()


class Unpickler:
    """Reads one pickle from `data`, from `position` on; afterwards `position` is behind it."""

    def __init__(self, data: memoryview, path: str, table: Table, workspace: Workspace, position: int = 0,
                 persistent: Optional[Callable[[Any], Any]] = None) -> None:
        self.data, self.path, self.table, self.workspace = data, path, table, workspace
        self.position, self.persistent = position, persistent
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}

    def load(self) -> Any:
        try:
            while True:
                code = self._take(1)[0]
                if code == 0x2E:                                             # STOP
                    return self._pop()
                operation = _OPERATIONS.get(code)
                if operation is None:
                    raise self._bad("a pickle", f"operation {code:#04x} at byte {self.position - 1}")
                operation(self)
        except FormatError:
            raise
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error, OverflowError,
                RecursionError, MemoryError) as error:
            raise self._bad("a pickle of arrays, lists and tensors", f"{type(error).__name__} at byte "
                            f"{self.position}: {error}")

    # What the operations are made of.

    def _bad(self, expected: str, found: str) -> FormatError:
        return FormatError(self.path, expected, found, REMEDY)

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise self._bad(f"{count} more bytes at byte {self.position}",
                            f"the file's end at {len(self.data)}: it is cut short or no pickle")
        part = self.data[self.position:end]
        self.position = end
        return part

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        start = self.position
        limit = min(len(self.data), start + MOST_DIGITS)
        line = bytes(self.data[start:limit])
        end = line.find(b"\n")
        if end < 0:
            raise self._bad(f"a line of at most {MOST_DIGITS} bytes at byte {start}",
                            "none: it is no pickle, or one of protocol 0, whose arrays are text")
        self.position = start + end + 1
        return line[:end].decode("utf-8", "replace").rstrip("\r")

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark instead of a value")
        return value

    def _to_mark(self) -> List[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                items = self.stack[i + 1:]
                del self.stack[i:]
                return items
        raise ValueError("no mark")

    def _text(self, size: int) -> None:
        view = self._take(size)
        self.stack.append(str(view, "utf-8", "surrogatepass") if size <= SHORT else Blob(view, True, self.workspace))

    def _binary(self, size: int) -> None:
        view = self._take(size)
        self.stack.append(bytes(view) if size <= SHORT else Blob(view, False, self.workspace))

    def _old_string(self, size: int) -> None:
        """A str of Python 2: bytes, or text that is nearly always ASCII."""
        view = self._take(size)
        self.stack.append(str(view, "latin-1") if size <= SHORT else Blob(view, False, self.workspace))

    def _long(self, size: int) -> None:
        if size > MOST_DIGITS:
            raise ValueError(f"a number of {size} bytes")
        self.stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def _find(self, module: Any, name: Any) -> None:
        known = self.table.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if known is None:
            raise self._bad("a file of plain data", f"the Python object {module}.{name}, which is not read or run")
        self.stack.append(known)

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        self.stack.append(function(*arguments))

    def _build(self) -> None:
        state, target = self._pop(), self.stack[-1]
        set_state = getattr(target, "set_state", None)
        if set_state is not None and not isinstance(target, Global):
            set_state(state)
        elif not isinstance(target, dict):                                   # attributes of a dictionary: no use here
            raise ValueError("a state for what takes none")

    def _append_all(self, items: List[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("items for what is no list")
        target.extend(items)

    def _set_all(self, items: List[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items for what is no dictionary")
        for i in range(0, len(items), 2):
            target[items[i]] = items[i + 1]

    def _dictionary(self, items: List[Any]) -> None:
        self.stack.append({})
        self._set_all(items)

    def _decimal(self) -> None:
        line = self._line().rstrip("L")
        self.stack.append(line == "01" if line in ("00", "01") else int(line))

    def _put(self, index: int) -> None:
        if self.stack[-1] is _MARK:
            raise ValueError("a mark instead of a value")
        self.memo[index] = self.stack[-1]

    def _persistent(self) -> None:
        if self.persistent is None:
            raise ValueError("a reference to outside this pickle")
        self.stack.append(self.persistent(self._pop()))

    def _instance(self) -> None:
        self._find(self._line(), self._line())
        function = self._pop()
        self._call(function, tuple(self._to_mark()))

    def _object(self) -> None:
        items = self._to_mark()
        self._call(items[0], tuple(items[1:]))

    def _new_with_names(self) -> None:
        names = self._pop()
        if names:
            raise ValueError("a call with named arguments")
        self._new()

    def _new(self) -> None:
        arguments = self._pop()
        self._call(self._pop(), arguments)

    def _stack_global(self) -> None:
        name = self._pop()
        self._find(self._pop(), name)


def _quoted(line: str) -> str:
    if len(line) < 2 or line[0] not in "'\"" or line[-1] != line[0]:
        raise ValueError("a string without quotes")
    return line[1:-1].encode("latin-1").decode("unicode_escape")


def _push(value: Callable[[Unpickler], Any]) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(value(u))


_OPERATIONS: Dict[int, Callable[[Unpickler], None]] = {ord(code): operation for code, operation in {
    "\x80": lambda u: u._take(1),                                            # PROTO
    "\x95": lambda u: u._take(8),                                            # FRAME
    "(": _push(lambda u: _MARK),
    "0": lambda u: u.stack.pop(),
    "1": lambda u: u._to_mark(),                                             # POP_MARK
    "2": _push(lambda u: u.stack[-1]),                                       # DUP
    "N": _push(lambda u: None),
    "\x88": _push(lambda u: True),
    "\x89": _push(lambda u: False),
    "I": lambda u: u._decimal(),
    "L": lambda u: u._decimal(),
    "J": _push(lambda u: u._number("<i")),
    "K": _push(lambda u: u._number("<B")),
    "M": _push(lambda u: u._number("<H")),
    "\x8a": lambda u: u._long(u._number("<B")),
    "\x8b": lambda u: u._long(u._number("<i")),
    "F": _push(lambda u: float(u._line())),
    "G": _push(lambda u: u._number(">d")),
    "S": _push(lambda u: _quoted(u._line())),
    "V": _push(lambda u: u._line().encode("latin-1", "replace").decode("raw_unicode_escape")),
    "T": lambda u: u._old_string(u._number("<i")),
    "U": lambda u: u._old_string(u._number("<B")),
    "X": lambda u: u._text(u._number("<I")),
    "\x8c": lambda u: u._text(u._number("<B")),
    "\x8d": lambda u: u._text(u._number("<Q")),
    "B": lambda u: u._binary(u._number("<I")),
    "C": lambda u: u._binary(u._number("<B")),
    "\x8e": lambda u: u._binary(u._number("<Q")),
    "\x96": lambda u: u._binary(u._number("<Q")),                            # BYTEARRAY8
    "]": _push(lambda u: []),
    "}": _push(lambda u: {}),
    ")": _push(lambda u: ()),
    "d": lambda u: u._dictionary(u._to_mark()),
    "\x8f": _push(lambda u: []),                                             # EMPTY_SET: a list will do
    "l": _push(lambda u: u._to_mark()),
    "t": _push(lambda u: tuple(u._to_mark())),
    "\x91": _push(lambda u: u._to_mark()),                                   # FROZENSET
    "\x85": lambda u: u._tuple(1),
    "\x86": lambda u: u._tuple(2),
    "\x87": lambda u: u._tuple(3),
    "a": lambda u: u._append_all([u._pop()]),
    "e": lambda u: u._append_all(u._to_mark()),
    "\x90": lambda u: u._append_all(u._to_mark()),                           # ADDITEMS
    "s": lambda u: u._set_all(list(reversed([u._pop(), u._pop()]))),
    "u": lambda u: u._set_all(u._to_mark()),
    "p": lambda u: u._put(int(u._line())),
    "q": lambda u: u._put(u._number("<B")),
    "r": lambda u: u._put(u._number("<I")),
    "\x94": lambda u: u._put(len(u.memo)),                                   # MEMOIZE
    "g": _push(lambda u: u.memo[int(u._line())]),
    "h": _push(lambda u: u.memo[u._number("<B")]),
    "j": _push(lambda u: u.memo[u._number("<I")]),
    "c": lambda u: u._find(u._line(), u._line()),
    "\x93": lambda u: u._stack_global(),
    "R": lambda u: u._new(),                                                 # REDUCE: the same two values
    "\x81": lambda u: u._new(),
    "\x92": lambda u: u._new_with_names(),
    "b": lambda u: u._build(),
    "i": lambda u: u._instance(),
    "o": lambda u: u._object(),
    "Q": lambda u: u._persistent(),
}.items()}
