"""The open end of the shard cache: results on their way into a shard, so that a killed run loses none of them.

A journal is a file of frames (length, CRC-32, body): first the Arrow schema, then a record batch for each result as it
comes. Its writer holds a lock on it; a journal without a lock was left by a run that died: whoever finds it seals it.
It is locked before it gets a name that others look for, so nobody ever finds a living writer's journal without a lock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from mer.store.locks import open_to_lock
from mer.store.shards import PREFIX
from mer.store.sharing import create, may_remove

log = logging.getLogger(__name__)

SUFFIX = ".journal"
NAME = re.compile(r"(mer-)?[0-9a-f]{32}\.journal")
"""The prefix is new: an earlier version of mer may have left one without."""
FRAME = struct.Struct("<QI")


class NotAJournalError(Exception):
    """A file that only has the name of a journal."""


class Journal:
    """Append rows to a new journal in `folder`, and read them back. Not synced to disk: that is the shard's part.

    Raises:
        OSError: the folder cannot be written, or has no space.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.schema = schema
        name = f"{PREFIX}{uuid.uuid4().hex}{SUFFIX}"
        self.path = folder / f".{name}.tmp"
        self.size = 0
        self._handle = create(self.path)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._write(schema.serialize())
            os.rename(self.path, folder / name)
            self.path = folder / name
        except BaseException:
            self.close(remove=True)
            raise

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; it is safe from a kill when this returns. Where it fails (no space), the rows before it stay."""
        self._write(pa.RecordBatch.from_pylist([row], schema=self.schema).serialize())

    def close(self, *, remove: bool) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)

    def _write(self, body: pa.Buffer) -> None:
        frame = memoryview(FRAME.pack(body.size, zlib.crc32(body)) + body.to_pybytes())
        written = 0
        try:
            while written < len(frame):
                written += os.write(self._handle, frame[written:])
        except BaseException:  # Ctrl-C, too: a torn frame would hide the frames after it
            with suppress(OSError):
                os.ftruncate(self._handle, self.size)
                os.lseek(self._handle, self.size, os.SEEK_SET)
            raise
        self.size += len(frame)


def read(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a journal, up to the first frame that is torn or does not match its checksum.

    Raises:
        NotAJournalError: the file does not begin with a schema; a journal has one before it has its name.
    """
    bodies = _bodies(path)
    first = next(bodies, None)
    if first is None:
        raise NotAJournalError(path)
    try:
        schema = pa.ipc.read_schema(first)
    except pa.ArrowException:
        raise NotAJournalError(path) from None
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
                log.warning("%s: broken at byte %d: what came after it is redone", path, file.tell() - length)
                return
            yield pa.py_buffer(body)


def abandoned(folder: Path) -> Iterator[Path]:
    """Journals whose writer is gone and that this user may remove; each is locked while the caller holds it."""
    for path in sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name)):
        if not may_remove(path):
            continue
        try:
            handle = open_to_lock(path)
        except (FileNotFoundError, PermissionError):
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # names are never used twice: it is the file that is locked
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
