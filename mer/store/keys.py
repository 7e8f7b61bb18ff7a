"""Keys of the shard cache: digests of file bytes, of settings and of weights."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from mer.store.location import cache_root, claim
from mer.store.sharing import create

log = logging.getLogger(__name__)

SETTLED_NS = 2_000_000_000
"""A file changed less than 2 s ago may change again within one tick of its clock: its digest is not remembered."""
SAMPLE_BYTES = 4096
"""Read at the start, in the middle and at the end of a file, to see that it still is the one that was hashed."""
VERSION = 2
"""Of `digests.sqlite`; another one's file is not read. (1, without a number, kept its rows in a table of its own.)"""
INDEX = "digests.sqlite"
COLUMNS = ("path", "size", "mtime_ns", "ctime_ns", "inode", "sample", "sha256")
TABLE = """
CREATE TABLE files
(path BLOB PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT, inode INT, sample BLOB, sha256 TEXT)
"""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def digest(*parts: Any) -> str:
    """SHA-256, in hex, of plain values (str, int, float, bool, None, lists and mappings of them); order counts."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: str | Path, root: Path | None = None) -> str:
    """SHA-256, in hex, of a file's bytes, remembered under `root`; for many files keep a `FileDigests` open.

    Raises:
        OSError: the file cannot be read.
    """
    with FileDigests(root) as digests:
        return digests.of(path)


class FileDigests:
    """SHA-256 of files, each hashed once: remembered in `digests.sqlite`.

    A file is known by its absolute path, size, times of change (of its bytes, and of its entry on disk: the second
    cannot be set by hand), inode and a sample of its bytes. The memory is a convenience: where it is damaged it is
    begun anew, and where it cannot be kept (a cache that may only be read, a full disk) every file is hashed.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = root or cache_root()
        claim(root)
        self._index = _Index(root / INDEX)
        self._new: list[tuple[Any, ...]] = []

    def of(self, path: str | Path) -> str:
        """Digest of one file; see `file_digest`."""
        name = os.fsencode(os.path.abspath(path))
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            times = (status.st_mtime_ns, status.st_ctime_ns)
            seen = (status.st_size, *times, _signed(status.st_ino), _sample(file, status.st_size))
            row = self._index.find(name)
            if row and row[:-1] == seen:
                return str(row[-1])
            file.seek(0)
            value = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
            self._new.append((name, *seen, value))
            if len(self._new) >= 1000:
                self._save()
        return value

    def close(self) -> None:
        self._save()
        self._index.close()

    def _save(self) -> None:
        if self._new:
            self._index.add(self._new)
            self._new.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _sample(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of three pieces of a file; of all of it where it is small."""
    sample = hashlib.sha256()
    for start in sorted({0, max(0, (size - SAMPLE_BYTES) // 2), max(0, size - SAMPLE_BYTES)}):
        file.seek(start)
        sample.update(file.read(SAMPLE_BYTES))
    return sample.digest()


def _signed(number: int) -> int:
    """SQLite's integers have a sign; some file systems use all 64 bits of an inode's number."""
    return number - 2**64 if number >= 2**63 else number


class _Index:
    """The table on disk. Whatever SQLite cannot do here costs time, never the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        try:
            self._open()
        except sqlite3.Error as error:
            self._after(error)

    def find(self, name: bytes) -> tuple[Any, ...] | None:
        if self._connection is None:
            return None
        try:
            query = f"SELECT {', '.join(COLUMNS[1:])} FROM files WHERE path = ?"  # noqa: S608  (our own names)
            row = self._connection.execute(query, (name,)).fetchone()
        except sqlite3.Error as error:
            self._after(error)
            return None
        return None if row is None else tuple(row)

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        if self._connection is None:
            return
        marks = ", ".join("?" * len(COLUMNS))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(f"INSERT OR REPLACE INTO files VALUES ({marks})", rows)  # noqa: S608
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._after(error)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> None:
        with suppress(OSError):
            os.close(create(self.path))  # SQLite makes its journal with the same mode: who shares the cache shares this
        self._connection = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        self._connection.execute("PRAGMA synchronous=OFF")  # a lost entry is hashed again
        if self._is_other():
            self._connection.execute("BEGIN IMMEDIATE")
            if self._is_other():  # still: another run may have made the table meanwhile
                self._connection.execute(TABLE)
                self._connection.execute(f"PRAGMA user_version={VERSION}")
            self._connection.execute("COMMIT")

    def _is_other(self) -> bool:
        """Whether the table has yet to be made.

        Raises:
            _LaterVersionError: the file has another version's table.
        """
        assert self._connection is not None
        [[version]] = self._connection.execute("PRAGMA user_version")
        columns = tuple(row[1] for row in self._connection.execute("PRAGMA table_info(files)"))
        if version not in (0, VERSION) or columns not in ((), COLUMNS):
            raise _LaterVersionError(f"written by another version of mer ({version})")
        return not columns

    def _after(self, error: sqlite3.Error) -> None:
        """Set a damaged file aside and begin anew; go without where the file is not to blame."""
        self.close()
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
        if not (damaged or isinstance(error, _LaterVersionError)):
            log.warning("%s: %s: files are hashed anew in every run", self.path, error)
            return
        aside = self.path.with_name(f"{INDEX}.{time.time_ns()}.aside")
        log.warning("%s: %s: set aside as %s, and begun anew", self.path, error, aside.name)
        try:
            for ending in ("", "-journal"):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
            self._open()
        except (OSError, sqlite3.Error) as again:
            self.close()
            log.warning("%s: %s: files are hashed anew in every run", self.path, again)


class _LaterVersionError(sqlite3.DatabaseError):
    pass
