"""A folder of shards with one schema: rows found by key, appended through a journal, read in any order."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mer.errors import MerError
from mer.running.machine import explain
from mer.store import journal, shards
from mer.store.index import Index, ShardKeys, build, follows, read_keys
from mer.store.locks import listing, make_lock, removing
from mer.store.reading import Reader, as_rows
from mer.store.shards import CorruptShardError, MissingRowsError
from mer.store.sharing import make_folder, may_remove

log = logging.getLogger(__name__)

KEY = pa.field("key", pa.string(), nullable=False)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LOOKS = 100
"""How often a row is looked for anew while others move it about, before it counts as gone."""


class ShardSet:
    """Rows of `schema` in `folder`, each under a key.

    Several processes, and several users, may read, write, compact, prune and verify one folder: see `mer.store.locks`.
    A key found twice holds the same row twice.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.schema = pa.schema([KEY, *schema])
        self._known: dict[Path, ShardKeys | None] = {}
        """What was read of each shard: its name stands for its bytes, so it is read once. None: not for us."""
        self._index = build({})
        _make(folder)
        self.refresh()

    @property
    def paths(self) -> list[Path]:
        """The shards that were found, in order."""
        return list(self._index.paths)

    def refresh(self) -> None:
        """Take in shards written, and drop shards removed, by others; seal journals that a dead run left behind.

        Raises:
            MerError: the machine does not let us read the folder.
        """
        if not self.folder.is_dir():  # a cache that this user may only read, and that lacks this set
            return
        try:
            self._seal_abandoned()
            adopt_earlier(self.folder, self.schema)
            found = self._found()
        except OSError as error:
            raise MerError(explain(error, self.folder)) from None
        if found.keys() != self._known.keys():
            self._known = found
            self._index = build({path: keys for path, keys in found.items() if keys is not None})

    def _found(self) -> dict[Path, ShardKeys | None]:
        """What the folder holds now; a broken shard is set aside, and left out."""
        found: dict[Path, ShardKeys | None] = {}
        broken: list[tuple[Path, CorruptShardError]] = []
        with listing(self.folder):
            for path in shards.names(self.folder):
                try:
                    found[path] = self._known[path] if path in self._known else self._keys_of(path)
                except CorruptShardError as error:
                    broken.append((path, error))
                except FileNotFoundError:  # removed by hand, or by a version without locks
                    continue
        for path, fault in broken:
            if not set_aside(path, str(fault)):
                found[path] = None
        return found

    def __len__(self) -> int:
        return len(self._index.keys)

    def keys(self) -> set[str]:
        return set(self._index.keys.to_pylist())

    def has(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Bool [len(keys)]."""
        return self._index.has(keys)

    def seal(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write rows as one shard; no rows, no shard."""
        batches = iter(batches)
        first = next(batches, None)
        if first is not None:
            shards.write_shard(self.folder, first.schema, chain([first], batches))

    def tables(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of `keys`, in that order, as tables of one or more rows; memory does not grow with their number.

        Raises:
            MissingRowsError: a key is not here, or went while we read (pruned).
            CorruptShardError: a shard is broken; it has been set aside, so its keys are missing from now on.
            MerError: the machine's fault; see `mer.store.shards`.
        """
        names = [name for name in self.schema.names if columns is None or name in columns]
        index, (places, first) = self._index, (self._places(self._index, keys), 0)
        looks = 0
        with closing(Reader(names)) as reader:
            while first < len(places):
                last = first + 1
                while last < len(places) and follows(places[last - 1], places[last]):
                    last += 1
                path = index.paths[int(places[first]["shard"])]
                group = self._group(reader, path, int(places[first]["group"]))
                if group is None:  # moved by a compaction, or gone
                    looks += 1
                    if looks > LOOKS:
                        raise MissingRowsError(f"{path}: gone")
                    self.refresh()
                    index, keys = self._index, keys[first:]
                    places, first = self._places(index, keys), 0
                    continue
                looks = 0
                yield group.slice(int(places[first]["row"]), last - first)
                first = last

    def rows(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Like `tables`, row by row; a column of number lists comes as NumPy arrays."""
        for table in self.tables(keys, columns):
            yield from as_rows(table)

    def _places(self, index: Index, keys: Sequence[str]) -> NDArray[np.void]:
        places, absent = index.find(keys)
        if absent is not None:
            raise MissingRowsError(f"{self.folder}: no row under {absent}")
        return places

    def _group(self, reader: Reader, path: Path, number: int) -> pa.Table | None:
        """A row group; None where the shard is gone."""
        try:
            return reader.group(path, number)
        except FileNotFoundError:
            return None
        except Exception as error:
            try:
                corrupt = shards.after_fault(path, error)
            except FileNotFoundError:
                return None
        known = dict(self._known)
        if set_aside(path, str(corrupt)):
            known.pop(path, None)
        else:
            known[path] = None
        self._known, self._index = known, build({path: keys for path, keys in known.items() if keys is not None})
        raise corrupt

    def _keys_of(self, path: Path) -> ShardKeys | None:
        try:
            return read_keys(path, self.schema)
        except FileNotFoundError:
            raise
        except PermissionError:
            log.warning("%s: not readable for this user: what it holds is computed again", path)
            return None
        except Exception as error:
            raise shards.after_fault(path, error) from None

    def _seal_abandoned(self) -> None:
        for path in journal.abandoned(self.folder):
            try:
                self.seal(journal.read(path))
                path.unlink()
            except journal.NotAJournalError:
                continue
            except (OSError, pa.ArrowException) as error:  # no space, say: it stays, for another time
                log.warning("%s: left by a run that died, and cannot be taken in now: %s", path, error)


def _make(folder: Path) -> None:
    """The folder with its lock; in a cache that this user may only read, what is there will have to do."""
    try:
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder.parent)
        make_folder(folder)
        make_lock(folder)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise MerError(explain(error, folder)) from None


def set_aside(path: Path, reason: str) -> bool:
    """Take a broken shard out of the set, so that what it held is computed again; False where it cannot be moved.

    Nothing but its own bytes, looked at while nobody else can move it, decides that it goes.
    """
    try:
        with removing(path.parent):
            if shards.is_whole(path):
                return True
            log.warning("%s is corrupt (%s): set aside, its clips are redone", path, reason)
            os.replace(path, path.with_suffix(".corrupt"))
    except FileNotFoundError:
        return True
    except OSError as error:
        log.warning("%s is corrupt (%s), and cannot be set aside: %s", path, reason, explain(error, path))
        return False
    return True


def adopt_earlier(folder: Path, schema: pa.Schema) -> None:
    """Give the whole shards of this schema that an earlier version of mer wrote the names that shards now have."""
    for path in sorted(path for path in folder.iterdir() if shards.EARLIER.fullmatch(path.name)):
        try:
            if read_keys(path, schema) is None or not may_remove(path):
                continue
            shards.validate(path)
            with removing(folder):
                os.rename(path, shards.name_of(folder, shards.sha256(path)))
        except FileNotFoundError:  # another run was faster
            continue
        except Exception as error:
            log.warning("%s: written by an earlier version of mer, and not taken over: %s", path, error)
