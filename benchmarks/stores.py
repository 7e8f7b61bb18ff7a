"""The shard cache against LMDB, on rows of a decoded clip's size: writing, reading in order and at random, and damage.

    pip install --target elsewhere lmdb && PYTHONPATH=elsewhere python -m benchmarks.stores [--rows 1000]

Both write a row at a time that survives a kill, LMDB by a transaction a row without `fsync`, and sync at the end. A row
of LMDB is Arrow IPC, as one of the cache's journal is. Seconds of CPU, the least of three runs that take turns.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mer.store.cache import ShardCache
from mer.store.keys import digest

SCHEMA = pa.schema([pa.field("audio", pa.binary(), False), pa.field("frames", pa.list_(pa.binary()), False)])
Row = dict[str, Any]


class Store(Protocol):
    def write(self, rows: dict[str, Row]) -> None: ...

    def read(self, keys: Sequence[str]) -> int:
        """Bytes of sound in all the rows."""

    def close(self) -> None: ...


class Shards:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, rows: dict[str, Row]) -> None:
        with ShardCache(self.folder, "rows", SCHEMA).writer() as writer:
            for key, row in rows.items():
                writer.add(key, row)

    def read(self, keys: Sequence[str]) -> int:
        return sum(len(row["audio"]) for row in ShardCache(self.folder, "rows", SCHEMA).read(keys))

    def close(self) -> None:
        """Nothing is held open."""


class Lmdb:
    def __init__(self, folder: Path) -> None:
        import lmdb  # type: ignore[import-not-found]

        self.environment = lmdb.open(str(folder), map_size=2**36, sync=False, metasync=False)

    def write(self, rows: dict[str, Row]) -> None:
        for key, row in rows.items():
            batch = pa.RecordBatch.from_pylist([row], SCHEMA)
            with self.environment.begin(write=True) as transaction:
                transaction.put(key.encode(), batch.serialize().to_pybytes())
        self.environment.sync(True)

    def read(self, keys: Sequence[str]) -> int:
        total = 0
        with self.environment.begin(buffers=True) as transaction:
            for key in keys:
                batch = pa.ipc.read_record_batch(pa.py_buffer(transaction.get(key.encode())), SCHEMA)
                total += len(batch.to_pylist()[0]["audio"])
        return total

    def close(self) -> None:
        self.environment.close()


def cost(work: Callable[[], object]) -> float:
    """Seconds of CPU."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def damaged(folder: Path, rows: dict[str, Row], make: Callable[[Path], Store]) -> str:
    """What reading says after one byte in the middle of the largest file was changed."""
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_blocks)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(path.stat().st_blocks * 512 // 2 + 100)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
    store = make(folder)
    try:
        store.read(list(rows))
    except Exception as error:  # whatever a library says
        return f"told ({type(error).__name__})"
    finally:
        store.close()
    return "not told"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    rows = {
        digest(number): {"audio": os.urandom(80_000), "frames": [os.urandom(20_000) for _ in range(8)]}
        for number in range(parser.parse_args().rows)
    }
    keys = list(rows)
    shuffled = random.Random(0).sample(keys, len(keys))  # noqa: S311
    makers: dict[str, Callable[[Path], Store]] = {"shards": Shards, "LMDB": Lmdb}
    costs: dict[str, list[list[float]]] = {name: [] for name in makers}
    with tempfile.TemporaryDirectory() as top:
        for _ in range(3):
            for name, make in makers.items():
                folder = Path(top) / name
                shutil.rmtree(folder, ignore_errors=True)
                store = make(folder)
                work = (lambda: store.write(rows), lambda: store.read(keys), lambda: store.read(shuffled))  # noqa: B023
                costs[name].append([cost(each) for each in work])
                store.close()
        for name, make in makers.items():
            write, ordered, at_random = (min(column) for column in zip(*costs[name], strict=True))
            folder = Path(top) / name
            bytes_ = size(folder)
            print(
                f"{name}: {len(rows)} rows of 240 kB: written {write:.2f} s of CPU, read in order {ordered:.2f} s, at "
                f"random {at_random:.2f} s; {bytes_ / 2**20:.0f} MiB; one byte changed: {damaged(folder, rows, make)}"
            )


if __name__ == "__main__":
    main()
