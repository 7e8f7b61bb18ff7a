"""The lock of a set of shards, on which the proof that no row is lost stands.

A row is in one file at least, from the moment it was added. Names of new files may appear at any time; a name is taken
away only by the holder of the exclusive lock, and only when the rows behind it are in another file (compaction) or
shall go (pruning, a broken shard). Who lists the folder holds the shared lock, so no name goes while he lists: he sees
every row that was there when he began. The lock is held for listings and removals alone, never while rows are
read, merged or written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mer.store.sharing import create

NAME = ".mer-shards"
"""The lock file. It marks a folder as a set of shards of ours, too: nothing else puts it there."""
COMPACTION = ".mer-compaction"


def make_lock(folder: Path) -> None:
    """Mark a folder as a set of shards.

    Raises:
        OSError: the folder cannot be written.
    """
    if not (folder / NAME).exists():
        with suppress(FileExistsError):
            os.close(create(folder / NAME))


def is_set(folder: Path) -> bool:
    return (folder / NAME).is_file()


@contextmanager
def listing(folder: Path) -> Iterator[None]:
    """While the context is open, no name that was in the folder goes."""
    with _locked(folder / NAME, fcntl.LOCK_SH):
        yield


@contextmanager
def removing(folder: Path) -> Iterator[None]:
    """While the context is open, names may be taken away: nobody lists the folder."""
    with _locked(folder / NAME, fcntl.LOCK_EX):
        yield


@contextmanager
def compacting(folder: Path) -> Iterator[None]:
    """One compaction of a set at a time, across processes."""
    with suppress(FileExistsError):
        os.close(create(folder / COMPACTION))
    with _locked(folder / COMPACTION, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    try:
        handle = open_to_lock(path)
    except (FileNotFoundError, PermissionError):
        if kind == fcntl.LOCK_EX:
            raise
        yield  # a folder that this user may only read, from before there were locks, or with one that is not for him
        return
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)


def open_to_lock(path: Path) -> int:
    """For writing where that is allowed: network file systems give an exclusive lock to no one else."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
