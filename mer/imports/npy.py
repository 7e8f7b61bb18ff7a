"""numpy's files: `.npy`, and the members of `.npz`. Never with allow_pickle: objects go through our own reader."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.plain import NAMES, listed
from mer.imports.regular import check_regular
from mer.imports.unpickle import DamagedError, loads
from mer.running.foreign import foreign

LONGEST_HEADER = 10_000
SIZES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
"""Version of the format -> bytes of the header's length."""
MOST_UNPACKED = 8 * 2**30
"""Bytes of one compressed array: more is to be saved uncompressed."""
MOST_OBJECTS = 2**30
"""Bytes of the pickle in an array of objects."""


@dataclass(frozen=True)
class Header:
    """What an array is; its values begin at byte `start`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: Any) -> Header:
    """The header of an array, from where the file stands.

    Raises:
        DamagedError: there is none.
    """
    start = file.read(len(npy.MAGIC_PREFIX) + 2)
    version = tuple(start[len(npy.MAGIC_PREFIX) :])
    size = SIZES.get(version) if start.startswith(npy.MAGIC_PREFIX) else None
    if size is None:
        raise DamagedError("not an array in numpy's format, or a damaged one")
    count = file.read(size)
    length = int.from_bytes(count, "little")
    header = file.read(length) if length <= LONGEST_HEADER else b""
    return _parsed(version, count + header)


@lru_cache(maxsize=4096)
def _parsed(version: tuple[int, int], header: bytes) -> Header:
    """A header by its bytes: most clips of a folder share theirs, and numpy's parser takes longer than the reading."""
    file = io.BytesIO(header)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file, max_header_size=LONGEST_HEADER)
    except (ValueError, SyntaxError, TypeError, RecursionError):
        raise DamagedError("not an array in numpy's format, or a damaged one") from None
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DamagedError("an array without a shape")
    return Header(shape, dtype, fortran, len(npy.MAGIC_PREFIX) + 2 + file.tell())


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Header]]:
    """An array's file, after its header, known to hold the values that the header promises and nothing else.

    Raises:
        MerError: it is missing, no regular file, cut short or no array; the line names the file.
    """
    check_regular(path)
    with foreign(str(path)), open(path, "rb") as file:
        header = read_header(file)
        if not header.dtype.hasobject:
            _check_size(str(path), header, os.fstat(file.fileno()).st_size - header.start)
        yield file, header


def read_npy(path: Path) -> NDArray[Any]:
    """An array of numbers or text.

    Raises:
        MerError: see `opened`; or it holds Python objects.
    """
    with opened(path) as (file, header):
        if header.dtype.hasobject:
            raise MerError(f"{path}: holds Python objects (dtype object), not numbers; nothing was run")
        return _shaped(np.frombuffer(file.read(header.size), header.dtype), header)


def map_npy(path: Path) -> NDArray[Any]:
    """As `read_npy`, without reading the values before they are used."""
    with opened(path) as (_, header):
        if header.dtype.hasobject:
            raise MerError(f"{path}: holds Python objects (dtype object), not numbers; nothing was run")
        if not header.size:
            return np.zeros(header.shape, header.dtype)
        order = "F" if header.fortran else "C"
        return np.memmap(path, header.dtype, "r", header.start, header.shape, order)  # type: ignore[call-overload]


def objects_of(file: IO[bytes], header: Header, where: str) -> NDArray[Any]:
    """An array of objects, from where its pickle begins, of plain data only.

    Raises:
        MerError: its pickle asks for anything else; the line begins with `where`.
    """
    data = file.read(MOST_OBJECTS + 1)
    if len(data) > MOST_OBJECTS:
        raise MerError(f"{where}: objects of more than {MOST_OBJECTS} bytes")
    value, _ = loads(memoryview(data), NAMES, where)
    with foreign(where):
        array = listed(value)
        if array.shape != header.shape:
            raise MerError(f"{where}: shape {header.shape} in its header, {array.shape} in its pickle")
        return array


class Archive:
    """The arrays of an `.npz`, by name: headers at once, values when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Raises `MerError` where it is no archive of arrays."""
        self.path = path
        self.headers: dict[str, Header] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        check_regular(path)
        with foreign(str(path)), zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in self._members:
                    raise MerError(f"{path}: two arrays of the name '{name}'")
                if member.flag_bits & 1:
                    raise MerError(f"{path}: '{name}' is encrypted")
                with foreign(f"{path}: '{name}'"), archive.open(member) as file:
                    header = read_header(file)
                if not header.dtype.hasobject:
                    _check_size(f"{path}: '{name}'", header, member.file_size - header.start)
                self.headers[name], self._members[name] = header, member

    def read(self, name: str) -> NDArray[Any]:
        """One array; over a memory map where it was saved uncompressed. Objects are refused unless they are plain.

        Raises:
            MerError: it is damaged, too large to unpack, or its objects are more than plain data.
        """
        header, member, where = self.headers[name], self._members[name], f"{self.path}: '{name}'"
        with foreign(where), zipfile.ZipFile(self.path) as archive:
            if not header.dtype.hasobject and member.compress_type == zipfile.ZIP_STORED and header.size:
                return self._mapped(archive, header, member)
            if header.size > MOST_UNPACKED:
                raise MerError(f"{where}: {header.size} bytes to unpack; save it with np.savez, uncompressed")
            with archive.open(member) as file:
                file.read(header.start)
                if header.dtype.hasobject:
                    return objects_of(file, header, where)
                return _shaped(np.frombuffer(file.read(header.size), header.dtype), header)

    def _mapped(self, archive: zipfile.ZipFile, header: Header, member: zipfile.ZipInfo) -> NDArray[Any]:
        """Values lie after the member's local header, whose length only it says."""
        with open(self.path, "rb") as file:
            file.seek(member.header_offset + 26)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
        start = member.header_offset + 30 + name + extra + header.start
        if start + header.size > os.path.getsize(self.path):
            raise MerError(f"{self.path}: '{member.filename}' is cut short")
        order = "F" if header.fortran else "C"
        return np.memmap(self.path, header.dtype, "r", start, header.shape, order)  # type: ignore[call-overload]


def _shaped(flat: NDArray[Any], header: Header) -> NDArray[Any]:
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _check_size(where: str, header: Header, found: int) -> None:
    if found < header.size:
        raise MerError(f"{where}: cut short: {found} bytes of values, its header promises {header.size}")
    if found > header.size:
        raise MerError(f"{where}: {found - header.size} bytes after the end of its array")
