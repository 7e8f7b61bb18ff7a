"""The allow-list of `mer.imports.unpickle`: what plain data may ask for, and the arrays that it describes.

numpy's arrays, scalars and dtypes, PyTorch's tensors (as MMSA-FET writes them), and Python's own containers. An array
is described, not made: `Array.numpy` makes it over the file's memory map, without a copy where the dtype allows it.
To allow another name is to add it here; nothing here calls anything that a file names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.imports.unpickle import MOST_STEPS, Buildable, DamagedError, Name, RefusedError, hashable, loads

DTYPE = re.compile(r"[<>=|]?(b1|\?|[iu][1248]|f[248]|[SU][1-9]\d{0,6}|O[48]?)")
DTYPE_NAMES = ("bool", "float16", "float32", "float64", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)))
MAGIC = 0x1950A86A20F9469CFC6C
"""What a tensor's bytes begin with, in the form that pickles hold (torch.save before version 1.6)."""
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}


class Dtype(Buildable):
    """A dtype as a pickle describes it: a code, then its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not (DTYPE.fullmatch(code) or code in DTYPE_NAMES):
            shown = str(code)[:40] if isinstance(code, str | int) else type(code).__name__
            raise RefusedError(f"its pickle holds an array of dtype '{shown}', which is neither number nor text")
        self.numpy = np.dtype(code)

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(one is not None for one in state[2:5]):
            raise RefusedError("its pickle holds an array of records")
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise DamagedError("a dtype without a byte order")
        if order in ("<", ">"):
            self.numpy = self.numpy.newbyteorder("<" if order == "<" else ">")


class Array(Buildable):
    """An array as a pickle describes it. `data` is its bytes, or the list of its items for dtype object."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.dtype = np.dtype(np.uint8)
        self.data: Any = b""
        self.fortran = False
        self.strides: tuple[int, ...] | None = None
        self.offset = 0
        self.widen = False

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], Dtype):
            raise DamagedError("an array of another version of numpy")
        _, shape, dtype, fortran, data = state
        self.fill(shape, dtype.numpy, data, bool(fortran))

    def fill(self, shape: Any, dtype: np.dtype[Any], data: Any, fortran: bool) -> None:
        """Take what is described, once it is known to be as long as it says."""
        self.shape, self.dtype, self.data, self.fortran = _shape(shape), dtype, data, fortran
        if dtype.hasobject:
            if not isinstance(data, list) or len(data) != math.prod(self.shape):
                raise DamagedError("an array of objects with more or fewer of them than its shape")
        elif not isinstance(data, bytes | memoryview):
            raise DamagedError("an array without bytes")
        elif len(data) != math.prod(self.shape) * dtype.itemsize:
            raise DamagedError(f"an array of shape {self.shape} with {len(data)} bytes")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def numpy(self) -> NDArray[Any]:
        """The array; over the file's memory map, and not to be written to, where it was large."""
        if self.dtype.hasobject:
            items = np.empty(len(self.data), object)
            items[:] = self.data  # one by one: lists among them stay lists
            return items.reshape(self.shape, order="F" if self.fortran else "C")
        flat = np.frombuffer(self.data, self.dtype)
        if self.strides is not None:
            steps = tuple(step * self.dtype.itemsize for step in self.strides)
            flat = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps, writeable=False)
            return _widened(flat) if self.widen else flat
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


class Storage:
    """Bytes of tensors, and the dtype that they were written as."""

    def __init__(self, dtype: str, data: memoryview) -> None:
        self.widen = dtype == "bfloat16"
        self.dtype = np.dtype("<u2" if self.widen else dtype)
        self.data = data
        self.count = len(data) // self.dtype.itemsize


def settled(value: Any) -> Any:
    """An `Array` as numpy's; everything else as it is."""
    return value.numpy() if isinstance(value, Array) else value


def _widened(values: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16, which numpy lacks: the upper half of a float32."""
    return (values.astype(np.uint32) << 16).view(np.float32)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise DamagedError("an array without a shape")
    if len(shape) > 32:
        raise DamagedError(f"an array of {len(shape)} axes")
    return shape


def _reconstruct(kind: Any, *_: Any) -> Array:
    if not isinstance(kind, Name) or kind.name != "numpy.ndarray":
        raise RefusedError("its pickle holds an array of a class of its own")
    return Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    if not isinstance(dtype, Dtype):
        raise DamagedError("an array without a dtype")
    array.fill(shape, dtype.numpy, data, order == "F")
    return array


def _scalar(dtype: Any, data: Any = None) -> Any:
    if not isinstance(dtype, Dtype) or dtype.numpy.hasobject or not isinstance(data, bytes | memoryview):
        raise DamagedError("a number of no kind")
    if len(data) != dtype.numpy.itemsize:
        raise DamagedError("a number that is too long or too short")
    return np.frombuffer(data, dtype.numpy)[0].item()


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """How protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise DamagedError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _bytes(*arguments: Any) -> bytes:
    if not arguments:
        return b""
    if isinstance(arguments[0], str):
        return _encode(*arguments)
    if isinstance(arguments[0], bytes | memoryview) and len(arguments) == 1:
        return bytes(arguments[0])
    raise DamagedError("bytes of something else")


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    """An ordered dictionary, from pairs."""
    return {hashable(key): value for key, value in (arguments[0] if arguments else ())}


def _default_dictionary(factory: Any = None, *arguments: Any) -> dict[Any, Any]:
    """What makes its missing values is dropped: it is never called."""
    return _dictionary(*arguments)


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple):
        raise DamagedError("a set of something else")
    return set(map(hashable, items))


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """A tensor as a view of a storage, all of which must lie inside of it."""
    sizes, strides = _shape(size), _shape(stride)
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0 or len(sizes) != len(strides):
        raise DamagedError("a tensor without a storage")
    last = offset + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True))
    if 0 in sizes:
        return _from_buffer(b"", Dtype("f4"), sizes)
    if last >= storage.count or math.prod(sizes) > storage.count:
        raise DamagedError(f"a tensor of shape {sizes} with {storage.count} values")
    array = Array()
    array.shape, array.dtype, array.data = sizes, storage.dtype, storage.data
    array.strides, array.offset, array.widen = strides, offset, storage.widen
    return array


def _load_from_bytes(data: Any) -> Storage:
    """A tensor's storage: four small pickles and the values, as torch.save wrote them before version 1.6."""
    view = memoryview(data) if isinstance(data, bytes) else data
    if not isinstance(view, memoryview):
        raise DamagedError("a storage without bytes")
    at = 0
    parts: list[Any] = []
    for _ in range(5):  # a magic number, a version, the machine's sizes, the storage's description, its key
        part, at = loads(view, STORAGE_NAMES, "a tensor's storage", start=at, persistent=_described)
        parts.append(part)
    if parts[0] != MAGIC or not isinstance(parts[3], tuple):
        raise DamagedError("a storage in another form")
    dtype, count = parts[3]
    size = np.dtype("<u2" if dtype == "bfloat16" else dtype).itemsize
    values = view[at + 8 :]
    if int.from_bytes(view[at : at + 8], "little") != count or len(values) != count * size:
        raise DamagedError(f"a storage of {count} values with {len(values)} bytes")
    return Storage(dtype, values)


def _described(key: Any) -> tuple[str, int]:
    """Dtype and number of values, of the description of a storage."""
    if not isinstance(key, tuple) or len(key) < 5 or not isinstance(key[1], Name) or type(key[4]) is not int:
        raise DamagedError("a storage without a description")
    kind = STORAGES.get(key[1].name.rsplit(".", 1)[-1])
    if kind is None or not 0 <= key[4] < 2**48:
        raise RefusedError(f"its pickle holds a tensor of {key[1].name}")
    return kind, key[4]


def _names(made: dict[str, Any]) -> dict[str, Name]:
    return {name: Name(name, make) for name, make in made.items()}


STORAGE_NAMES = _names({f"torch.{name}": None for name in STORAGES})
CORES = ("numpy.core", "numpy._core")
BUILTINS = ("builtins", "__builtin__")
NAMES = {
    **_names({f"{core}.multiarray._reconstruct": _reconstruct for core in CORES}),
    **_names({f"{core}.multiarray.scalar": _scalar for core in CORES}),
    **_names({f"{core}.numeric._frombuffer": _from_buffer for core in CORES}),
    **_names({"numpy.dtype": Dtype, "numpy.ndarray": None, "_codecs.encode": _encode}),
    **_names({"collections.OrderedDict": _dictionary, "collections.defaultdict": _default_dictionary}),
    **_names({f"{module}.set": _set for module in BUILTINS}),
    **_names({f"{module}.frozenset": _set for module in BUILTINS}),
    **_names({f"{module}.{name}": _bytes for module in BUILTINS for name in ("bytes", "bytearray")}),
    **_names({f"{m}.{n}": None for m in BUILTINS for n in ("dict", "list", "tuple", "int", "float", "str", "bool")}),
    **_names({"torch._utils._rebuild_tensor_v2": _rebuild_tensor, "torch.storage._load_from_bytes": _load_from_bytes}),
}
"""Every name that a pickle of plain data may ask for."""


def listed(value: Any) -> NDArray[Any]:
    """A list of numbers, of lists of equal length of them, or an array, as an array; counted before it is written out.

    Raises:
        DamagedError: it is ragged, holds itself, or is more than any file says.
    """
    value = settled(value)
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list | tuple):
        raise DamagedError(f"a {type(value).__name__} where an array is expected")
    _count(value, 0, 0)
    return np.asarray([settled(one) for one in value])


def _count(value: Sequence[Any], depth: int, seen: int) -> int:
    if depth > 4:
        raise DamagedError("lists in lists, too deep for an array")
    seen += len(value)
    if seen > MOST_STEPS:
        raise DamagedError("more values than any file says")
    for one in value:
        if isinstance(one, list | tuple):
            seen = _count(one, depth + 1, seen)
    return seen
