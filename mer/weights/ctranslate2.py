"""Read a CTranslate2 model.bin without CTranslate2: a list of named arrays, no code in it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError

VERSION = 6
"""Of the binary format; it has not changed since CTranslate2 2.0 (2021)."""
KINDS = (np.dtype("<f4"), np.dtype("i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f2"), np.dtype("<u2"))
"""The number that stands for each type in the file; the last one holds bfloat16's bits."""
LONGEST_NAME = 4096


@dataclass(frozen=True)
class Model:
    """`spec` names the architecture, such as WhisperSpec; `variables` are memory-mapped, aliases resolved."""

    path: Path
    spec: str
    variables: Mapping[str, NDArray[Any]]

    def floats(self, name: str) -> NDArray[Any]:
        """A weight as float16 or float32, in the file's own precision; int8 and int16 weights are multiplied out.

        An int8 weight has a scale a row, whatever its rank; an int16 one has a single scale.

        Raises:
            KeyError: the model has no such weight, or an integer one without its scale.
            MerError: its numbers are of a kind that no weight has; the line names it.
        """
        value = self.variables[name]
        if value.dtype in (np.float32, np.float16):
            return value
        if value.dtype == np.uint16:
            return (value.astype(np.uint32) << 16).view(np.float32)
        if value.dtype not in (np.int8, np.int16):
            raise MerError(f"{self.path}: {name} holds {value.dtype}, not float32, float16, bfloat16, int16 or int8")
        scale = self.variables[f"{name}_scale"].astype(np.float32)
        if scale.size not in (1, len(value)):
            raise MerError(f"{self.path}: {name}_scale has {scale.size} numbers for {len(value)} rows")
        return np.asarray(value / scale.reshape(-1, *[1] * (value.ndim - 1)), np.float32)


def read_model(path: str | Path) -> Model:
    """Map a model.bin.

    Raises:
        MerError: the file is missing, cut short or of another format; the line names it.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise MerError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        return _parse(Path(path), content)
    except (struct.error, UnicodeDecodeError, IndexError, KeyError, _FormatError) as error:
        raise MerError(f"{path}: not a CTranslate2 model, or cut short: {error}") from None


class _FormatError(Exception):
    pass


def _parse(path: Path, content: NDArray[np.uint8]) -> Model:
    reader = _Reader(content)
    version = reader.number("<I")
    if version != VERSION:
        raise _FormatError(f"version {version} of the format instead of {VERSION}")
    spec, _revision = reader.name(), reader.number("<I")
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(reader.number("<I")):
        name = reader.name()
        shape = [reader.number("<I") for _ in range(reader.number("<B"))]
        kind, size = reader.number("<B"), reader.number("<I")
        variables[name] = reader.array(KINDS[kind], shape, size)
    for _ in range(reader.number("<I")):
        alias = reader.name()
        variables[alias] = variables[reader.name()]
    return Model(path, spec, variables)


@dataclass
class _Reader:
    content: NDArray[np.uint8]
    at: int = 0

    def bytes(self, size: int) -> NDArray[np.uint8]:
        if self.at + size > len(self.content):
            raise _FormatError(f"{len(self.content)} bytes, {self.at + size} are needed")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.bytes(struct.calcsize(form)).tobytes())[0])

    def name(self) -> str:
        size = self.number("<H")
        if not 0 < size <= LONGEST_NAME:
            raise _FormatError(f"a name of {size} bytes")
        return self.bytes(size).tobytes()[:-1].decode()

    def array(self, kind: np.dtype[Any], shape: list[int], size: int) -> NDArray[Any]:
        if size != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
            raise _FormatError(f"{size} bytes for {kind} {shape}")
        return self.bytes(size).view(kind).reshape(shape)
