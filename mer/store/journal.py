"""The open end of the shard cache: results on their way into a shard, so that a killed run loses none of them.

A journal is a file of frames (length, CRC-32, body): first the Arrow schema, then a record batch for each result as it
comes. Its writer holds a lock on it; a journal without a lock was left by a run that died: whoever finds it seals it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

SUFFIX = ".journal"
FRAME = struct.Struct("<QI")


class Journal:
    """Append rows to a new journal in `folder`, and read them back. Not synced to disk: that is the shard's part."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self.path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
        self.size = 0
        self._file = open(self.path, "xb")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._write(schema.serialize())

    def append(self, row: dict[str, Any]) -> None:
        self._write(pa.RecordBatch.from_pylist([row], schema=self.schema).serialize())

    def close(self, *, remove: bool) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _write(self, body: pa.Buffer) -> None:
        self._file.write(FRAME.pack(body.size, zlib.crc32(body)))
        self._file.write(body)
        self._file.flush()
        self.size += FRAME.size + body.size


def read(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a journal, up to the first frame that is torn or does not match its checksum."""
    bodies = _bodies(path)
    first = next(bodies, None)
    if first is not None:
        schema = pa.ipc.read_schema(first)
        for body in bodies:
            yield pa.ipc.read_record_batch(body, schema)


def _bodies(path: Path) -> Iterator[pa.Buffer]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(FRAME.size)) == FRAME.size:
            length, checksum = FRAME.unpack(head)
            if length > size - file.tell():
                return
            body = file.read(length)
            if zlib.crc32(body) != checksum:
                return
            yield pa.py_buffer(body)


def abandoned(folder: Path) -> Iterator[Path]:
    """Journals whose writer is gone. Each is locked while the caller holds it: two runs must not seal it."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            file = open(path, "r+b")  # noqa: SIM115
        except FileNotFoundError:
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if path.exists():
                yield path
