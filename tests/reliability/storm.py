"""A storm on one cache: processes that write, read, compact, prune, verify and are killed, all at once.

python -m tests.reliability.storm [--processes 8] [--seconds 600]

Every row that `add` took is noted in a ledger. At the end all of them are read back, bytes included. Rows of a second
set are made old, for pruning to take: of those, what is found must be whole.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mer.store.cache import ShardCache
from mer.store.shards import MissingRowsError
from mer.store.upkeep import compact, prune, usage, verify

REPOSITORY = Path(__file__).parents[2]
SCHEMA = pa.schema([pa.field("audio", pa.binary()), pa.field("n", pa.int64())])
DEATHS = 0.1
"""Share of the writing sessions that end by kill -9."""
DAY = 86_400
LONGEST_SESSION = 12


@dataclass(frozen=True)
class Storm:
    """What happened: rows taken and lost, sessions killed, and how often each thing was done."""

    rows: int
    lost: int
    killed: int
    errors: list[str]
    done: Mapping[str, int]

    def __str__(self) -> str:
        deeds = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        return f"{self.rows} rows, {self.lost} lost, {len(self.errors)} errors, {self.killed} kills ({deeds})"


def record(key: str) -> dict[str, Any]:
    """The row that belongs to a key: up to 40 kB."""
    number = int(key[:8], 16)
    return {"audio": bytes.fromhex(key) * (number % 1250), "n": number}


class Petrel:
    """One process of the storm, and its ledgers."""

    def __init__(self, root: Path, ledgers: Path, seed: int) -> None:
        self.root, self.ledgers = root, ledgers
        self.random = random.Random(seed)
        name = f"{os.getpid()}-{seed}"
        self.added, self.sealed, self.done = (
            (ledgers / f"{name}.{ending}").open("a") for ending in ("added", "sealed", "done")
        )

    def live(self, until: float) -> None:
        deeds = [self.write, self.read, self.age, self.compact, self.prune, self.verify]
        while time.time() < until:
            deed = self.random.choices(deeds, weights=[55, 25, 5, 6, 5, 4])[0]
            deed()
            print(deed.__name__, file=self.done, flush=True)

    def write(self) -> None:
        mortal = self.random.random() < DEATHS
        keys = [self._new_key() for _ in range(self.random.randint(1, LONGEST_SESSION))]
        with ShardCache(self.root, "rows", SCHEMA).writer() as writer:
            for place, key in enumerate(keys):
                writer.add(key, record(key))
                print(key, file=self.added, flush=True)
                if mortal and place == len(keys) // 2:
                    print("die", file=self.done, flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
        print(*keys, sep="\n", file=self.sealed, flush=True)

    def read(self) -> None:
        ledger = self.random.choice(list(self.ledgers.glob("*.sealed")))
        known = ledger.read_text().split("\n")[:-1]
        keys = self.random.sample(known, min(len(known), 30))
        rows = list(ShardCache(self.root, "rows", SCHEMA).read(keys))
        assert [row["key"] for row in rows] == keys
        assert all(row == {"key": row["key"], **record(row["key"])} for row in rows)

    def age(self) -> None:
        """Rows that pruning may take; what is read of them meanwhile is whole, or missing."""
        cache = ShardCache(self.root, "old", SCHEMA)
        keys = [self._new_key() for _ in range(3)]
        with cache.writer() as writer:
            for key in keys:
                writer.add(key, record(key))
        then = time.time() - 10 * DAY
        for path in cache.results.paths:
            try:
                os.utime(path, (then, then))
            except FileNotFoundError:
                continue
        try:
            assert all(row == {"key": row["key"], **record(row["key"])} for row in cache.read(keys))
        except MissingRowsError:
            return

    def compact(self) -> None:
        list(compact(self.root))

    def prune(self) -> None:
        list(prune(self.root, days=1))

    def verify(self) -> None:
        assert all(fault is None for _, fault in verify(self.root))

    def _new_key(self) -> str:
        return hashlib.sha256(self.random.randbytes(16)).hexdigest()


def storm(processes: int, seconds: float, root: Path) -> Storm:
    """Let processes loose on a cache; whoever dies is replaced until the time is up."""
    ledgers = root.with_name(f"{root.name}-ledgers")
    ledgers.mkdir()
    until, seeds = time.time() + seconds, iter(range(10**6))
    crew = [_start(root, ledgers, next(seeds), until) for _ in range(processes)]
    killed = 0
    while crew:
        time.sleep(0.05)
        for process in [process for process in crew if process.poll() is not None]:
            crew.remove(process)
            killed += process.returncode == -signal.SIGKILL
            if time.time() < until:
                crew.append(_start(root, ledgers, next(seeds), until))
    return _judge(root, ledgers, killed)


def _start(root: Path, ledgers: Path, seed: int, until: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.storm", "--petrel", root, ledgers, str(seed), str(until)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _judge(root: Path, ledgers: Path, killed: int) -> Storm:
    keys = sorted(set(_lines(ledgers, "added")))
    cache = ShardCache(root, "rows", SCHEMA)
    there = [key for key, known in zip(keys, cache.results.has(keys), strict=True) if known]
    whole = sum(row == {"key": row["key"], **record(row["key"])} for row in cache.read(there))
    errors = list(_lines(ledgers, "error"))
    if any(one.corrupt for one in usage(root)) or list(root.rglob("*.journal")):
        errors.append("something was set aside, or a journal is left")
    return Storm(len(keys), len(keys) - whole, killed, errors, collections.Counter(_lines(ledgers, "done")))


def _lines(ledgers: Path, ending: str) -> Iterator[str]:
    for path in ledgers.glob(f"*.{ending}"):
        yield from path.read_text().split("\n")[:-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--petrel", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.petrel:
        root, ledgers, seed, until = arguments.petrel
        try:
            Petrel(Path(root), Path(ledgers), int(seed)).live(float(until))
        except BaseException:
            traceback.print_exc()
            fault = " / ".join(traceback.format_exc().split("\n"))
            Path(ledgers, f"{os.getpid()}-{seed}.error").write_text(f"{fault}\n")
            raise
        return
    with tempfile.TemporaryDirectory() as folder:
        result = storm(arguments.processes, arguments.seconds, Path(folder) / "cache")
    print(result)
    sys.exit(1 if result.lost or result.errors else 0)


if __name__ == "__main__":
    main()
