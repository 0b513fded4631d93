"""The names of PyTorch that a pickle may use, and what stands for them here: tensors as NumPy's views of their storages,
bfloat16 as float32."""
import math
from typing import Any, Dict, Tuple

import numpy as np

from .plain_objects import PLAIN
from .unpickle import Global

# What torch calls a storage, and a dtype, by the NumPy type of its elements. NumPy has no bfloat16.
_STORAGES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1",
             "Byte": "u1", "Bool": "?", "Untyped": "u1"}
_DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"


class StorageType(Global):
    """The class of a storage, as the reference to a storage names it."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name)
        self.is_bfloat16 = not kind
        self.stored = np.dtype(kind or "u2").newbyteorder("<")
        self.dtype = np.dtype(kind or "f4").newbyteorder("<")

    def elements(self, content: memoryview, count: int) -> np.ndarray:
        if content.nbytes != count * self.stored.itemsize:
            raise ValueError(f"{content.nbytes} bytes for a storage of {count} elements")
        stored = np.frombuffer(content, self.stored) if count else np.empty(0, self.stored)
        return (stored.astype(np.uint32) << 16).view(np.float32) if self.is_bfloat16 else stored


def storage_reference(reference: Any) -> Tuple[StorageType, str, int, Any]:
    """Element type, key, number of elements and view of what a pickle writes for a storage."""
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        raise ValueError("a reference to what is no storage")
    kind, key, count = reference[1], reference[2], reference[4]
    if not isinstance(kind, StorageType) or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise ValueError("a storage without a type, a name or a size")
    return kind, key, count, reference[5] if len(reference) > 5 else None


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> np.ndarray:
    """NumPy checks that all elements lie in the storage."""
    if not isinstance(storage, np.ndarray) or math.prod(shape) > storage.size:
        raise ValueError(f"a tensor of shape {shape} without a storage of that size")
    size = storage.itemsize
    if not math.prod(shape):
        return np.empty(shape, storage.dtype)
    return np.ndarray(shape, storage.dtype, storage, offset * size, tuple(s * size for s in stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _with_attributes(function: Any, _: Any, arguments: Any, __: Any) -> Any:
    """A tensor to which a program gave attributes, without them."""
    if not isinstance(function, Global):
        raise ValueError("a tensor of an unknown kind")
    return function(*arguments)


def _table() -> Dict[Tuple[str, str], Global]:
    table = dict(PLAIN)

    def add(module: str, name: str, make: Any) -> None:
        table[module, name] = Global(f"{module}.{name}", make)

    for name, kind in _STORAGES.items():
        for module in ("torch", "torch.storage"):
            table[module, name + "Storage"] = StorageType(f"torch.{name}Storage", kind)
    for name in _DTYPES.split():
        add("torch", name, None)
    add("torch", "Size", lambda items=(): tuple(items))
    add("torch", "Tensor", None)
    add("torch", "device", lambda *_: None)
    add("torch._utils", "_rebuild_tensor", _tensor)
    add("torch._utils", "_rebuild_tensor_v2", _tensor)
    add("torch._utils", "_rebuild_parameter", _parameter)
    add("torch._tensor", "_rebuild_from_type_v2", _with_attributes)
    return table


TORCH = _table()
