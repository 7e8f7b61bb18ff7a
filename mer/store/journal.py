"""The open end of the shard cache: results on their way into a shard, so that a killed run loses none of them.

A journal is a file of frames (length, CRC-32, one Arrow record batch), appended to as results come. Its writer holds a
lock on it; a journal without a lock was left by a run that died, and whoever finds it seals it.
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
        self.rows = 0
        self._file = open(self.path, "xb")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def append(self, row: dict[str, Any]) -> None:
        body = pa.RecordBatch.from_pylist([row], schema=self.schema).serialize()
        self._file.write(FRAME.pack(body.size, zlib.crc32(body)))
        self._file.write(body)
        self._file.flush()
        self.size += FRAME.size + body.size
        self.rows += 1

    def read(self) -> Iterator[pa.RecordBatch]:
        return read(self.path, self.schema)

    def close(self, *, remove: bool) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        self._file.close()


def read(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a journal up to the first frame that is torn or does not match its checksum."""
    with open(path, "rb") as file:
        while len(head := file.read(FRAME.size)) == FRAME.size:
            length, checksum = FRAME.unpack(head)
            if length > os.fstat(file.fileno()).st_size:
                return
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                return
            try:
                yield pa.ipc.read_record_batch(pa.py_buffer(body), schema)
            except (OSError, pa.ArrowException):
                return


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
