"""Keys of the shard cache: digests of file bytes, of settings and of weights."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Self

from mer.store.location import cache_root

SETTLED_NS = 2_000_000_000
"""A file changed less than 2 s ago may change again within one tick of its clock: its digest is not remembered."""


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
    """SHA-256 of files, each hashed once: remembered by absolute path, size and time of change in `digests.sqlite`."""

    def __init__(self, root: Path | None = None) -> None:
        root = root or cache_root()
        root.mkdir(parents=True, exist_ok=True)
        self._index = sqlite3.connect(root / "digests.sqlite", timeout=60.0, isolation_level=None)
        self._index.execute("PRAGMA synchronous=OFF")  # a lost entry is hashed again
        self._index.execute(
            "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INT, mtime_ns INT, sha256 TEXT)"
        )
        self._new: list[tuple[bytes, int, int, str]] = []

    def of(self, path: str | Path) -> str:
        """Digest of one file; see `file_digest`."""
        status = os.stat(path)
        name = os.fsencode(os.path.abspath(path))
        row = self._index.execute("SELECT size, mtime_ns, sha256 FROM digests WHERE path = ?", (name,)).fetchone()
        if row and row[:2] == (status.st_size, status.st_mtime_ns):
            return str(row[2])
        with open(path, "rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
            self._new.append((name, status.st_size, status.st_mtime_ns, value))
            if len(self._new) >= 1000:
                self._save()
        return value

    def close(self) -> None:
        self._save()
        self._index.close()

    def _save(self) -> None:
        if self._new:
            self._index.execute("BEGIN IMMEDIATE")
            self._index.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", self._new)
            self._index.execute("COMMIT")
            self._new.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
