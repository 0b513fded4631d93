"""The names of PyTorch that a pickle may use, and what stands for them here: tensors as views of their storages."""
from typing import Any, Callable, Dict, Optional, Tuple, Union

import numpy as np

from .plain_objects import PLAIN
from .unpickle import Global

BFLOAT16 = "bfloat16"

# What torch calls a storage, and a dtype, by the NumPy type of its elements.
_STORAGES: Dict[str, Union[str, type]] = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16, "BFloat16Storage": BFLOAT16,
    "LongStorage": np.int64, "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8,
    "ByteStorage": np.uint8, "BoolStorage": np.bool_, "UntypedStorage": np.uint8,
}
_DTYPES = {
    "float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": BFLOAT16, "int64": np.int64,
    "int32": np.int32, "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "bool": np.bool_,
}


class Storage:
    """The elements of one or several tensors; `content` gives their bytes once the file is laid open."""

    def __init__(self, kind: Union[str, type], count: int, content: Callable[[], memoryview]) -> None:
        self.kind, self.count, self.content = kind, count, content

    @property
    def item_size(self) -> int:
        return 2 if self.kind == BFLOAT16 else np.dtype(self.kind).itemsize

    def elements(self) -> np.ndarray:
        content = self.content()
        if content.nbytes != self.count * self.item_size:
            raise ValueError(f"{content.nbytes} bytes for a storage of {self.count} elements")
        return np.frombuffer(content, np.uint16 if self.kind == BFLOAT16 else self.kind)


class TorchTensor:
    """A tensor whose elements lie in the file, until `array` is called."""

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> None:
        if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
            raise ValueError("a tensor without a storage or a shape")
        numbers = (offset, *shape, *stride)
        if len(shape) != len(stride) or len(shape) > 8 or not all(
                isinstance(n, int) and 0 <= n < 1 << 48 for n in numbers):
            raise ValueError(f"a tensor of shape {shape[:8]}, stride {stride[:8]}")
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride
        count, last = 1, offset
        for n, s in zip(shape, stride):
            count *= n
            last += (n - 1) * s
        if count and (last >= storage.count or count > storage.count):
            raise ValueError(f"a tensor of shape {shape}, stride {stride} in a storage of {storage.count} elements")
        self.count = count

    def set_state(self, state: Any) -> None:
        """Hooks and the like: no use here."""

    def array(self) -> np.ndarray:
        """A view of the elements where they lie; bfloat16 becomes float32."""
        if self.count == 0:
            return np.empty(self.shape, np.float32 if self.storage.kind == BFLOAT16 else self.storage.kind)
        elements = self.storage.elements()[self.offset:]
        size = self.storage.item_size
        view = np.lib.stride_tricks.as_strided(elements, self.shape, tuple(s * size for s in self.stride),
                                               writeable=False)
        return (view.astype(np.uint32) << 16).view(np.float32) if self.storage.kind == BFLOAT16 else view


def _contiguous(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TorchTensor:
    return TorchTensor(storage, offset, shape, stride)


def _parameter(data: Any, *_: Any) -> TorchTensor:
    if not isinstance(data, TorchTensor):
        raise ValueError("a parameter without a tensor")
    return data


def _size(items: Any = ()) -> Tuple[Any, ...]:
    if not isinstance(items, (list, tuple)):
        raise ValueError("a size without numbers")
    return tuple(items)


class StorageType(Global):
    """The class of a storage, as the reference to a storage names it."""

    def __init__(self, name: str, kind: Union[str, type]) -> None:
        super().__init__(name)
        self.kind = kind


def _table() -> Dict[Tuple[str, str], Global]:
    table = dict(PLAIN)
    for name, kind in _STORAGES.items():
        for module in ("torch", "torch.storage"):
            table[module, name] = StorageType(f"torch.{name}", kind)
    for name in _DTYPES:
        table["torch", name] = Global(f"torch.{name}")
    table["torch", "Size"] = Global("torch.Size", _size)
    table["torch", "device"] = Global("torch.device", lambda *_: None)
    table["torch._utils", "_rebuild_tensor"] = Global("torch._utils._rebuild_tensor", _contiguous)
    table["torch._utils", "_rebuild_tensor_v2"] = Global("torch._utils._rebuild_tensor_v2", _contiguous)
    table["torch._utils", "_rebuild_parameter"] = Global("torch._utils._rebuild_parameter", _parameter)
    return table


TORCH = _table()


def storage_reference(reference: Any) -> Tuple[Union[str, type], str, int, Optional[Any]]:
    """Element type, key, number of elements and view of what a pickle writes for a storage."""
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        raise ValueError("a reference to what is no storage")
    kind, key, count = reference[1], reference[2], reference[4]
    if not isinstance(kind, StorageType) or not isinstance(key, str):
        raise ValueError("a storage without a type or a name")
    if not isinstance(count, int) or not 0 <= count < 1 << 48:
        raise ValueError(f"a storage of {count} elements")
    return kind.kind, key, count, reference[5] if len(reference) > 5 else None
