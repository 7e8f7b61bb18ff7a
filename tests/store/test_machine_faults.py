"""Whatever the machine refuses, no healthy shard is given up: only its own bytes may condemn one."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mer.errors import MerError
from mer.store import index, journal, shards
from mer.store.cache import ShardCache
from tests.store.others import needs_root, run

SCHEMA = pa.schema([pa.field("audio", pa.binary())])
KEYS = [f"{number:064x}" for number in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four rows of 200 kB in two shards."""
    for first in (0, 2):
        with ShardCache(tmp_path, "things", SCHEMA).writer() as writer:
            for key in KEYS[first : first + 2]:
                writer.add(key, {"audio": key.encode() * 3000})
    return tmp_path


def contents(root: Path) -> dict[str, str]:
    """Names and checksums of all shards, those set aside included."""
    folder = root / "things"
    files = [path for path in folder.iterdir() if path.suffix in (".parquet", ".corrupt")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refuse(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object, **__: object) -> Any:
        raise error

    return raise_it


FAULTS = [
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("a message without a number, as pyarrow has them"),
    PermissionError(errno.EACCES, "Permission denied"),
    MemoryError(),
    pa.ArrowMemoryError("malloc of size 99 failed"),
    pa.ArrowInvalid("a later version of Parquet"),
    RuntimeError("can't start new thread"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("where", ["read_row_group", "open_shard"])
def test_an_error_while_reading_rows_gives_no_shard_up(
    root: Path, fault: BaseException, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(root)
    cache = ShardCache(root, "things", SCHEMA)
    with monkeypatch.context() as patch:
        if where == "open_shard":
            patch.setattr(shards, "open_shard", refuse(fault))
        else:
            patch.setattr(shards.pq, "ParquetFile", _opens_but_reads_not(fault))
        with pytest.raises(MerError, match=r"\.parquet: "):
            list(cache.read(KEYS))
    assert contents(root) == before
    assert [row["key"] for row in cache.read(KEYS)] == KEYS


def _opens_but_reads_not(fault: BaseException) -> type:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None: ...

        def close(self) -> None: ...

        read_row_group = staticmethod(refuse(fault))

    return Broken


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not isinstance(fault, PermissionError)], ids=repr)
def test_an_error_while_looking_for_keys_gives_no_shard_up(
    root: Path, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(root)
    with monkeypatch.context() as patch:
        patch.setattr(index.shards, "open_shard", refuse(fault))
        with pytest.raises(MerError, match=r"\.parquet: "):
            ShardCache(root, "things", SCHEMA)
    assert contents(root) == before


def test_a_mark_of_use_that_may_not_be_made_is_no_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(root)
    monkeypatch.setattr(os, "utime", refuse(PermissionError(errno.EPERM, "Operation not permitted")))
    assert [row["key"] for row in ShardCache(root, "things", SCHEMA).read(KEYS)] == KEYS
    assert contents(root) == before


def test_too_few_file_handles_end_in_one_line(root: Path) -> None:
    before = contents(root)
    done = run(
        """
        held = []
        try:
            while True:
                held.append(open("/dev/null"))
                if len(held) == 1: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        except OSError:
            pass
        for free in range(8):  # every point at which the handles may run out
            try:
                print(len(list(cache().read([key(0)]))))
            except MerError as error:
                print("error:", error)
            held.pop().close()
        """,
        root,
    )
    assert done.returncode == 0, done.stderr
    assert "raise the limit on open files" in done.stdout
    assert done.stdout.splitlines()[-1] == "1"
    assert "corrupt" not in done.stderr
    assert contents(root) == before


@pytest.mark.parametrize("spare", [1, 5, 20, 40, 70, 100])
def test_too_little_memory_gives_no_shard_up(tmp_path: Path, spare: int) -> None:
    """With hardly any, Arrow ends the process; with a little more, it is one line."""
    with ShardCache(tmp_path, "things", SCHEMA).writer() as writer:
        writer.add(KEYS[0], {"audio": os.urandom(60_000_000)})
    before = contents(tmp_path)
    done = run(
        """
        things = cache()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 2**20, resource.RLIM_INFINITY))
        try:
            print(len(list(things.read([key(0)]))))
        except (MerError, MemoryError) as error:
            print("error:", error)
        """,
        tmp_path,
        spare,
    )
    assert done.stdout.startswith(("error:", "1")) or "bad_alloc" in done.stderr, done.stderr
    assert "corrupt" not in done.stderr
    assert contents(tmp_path) == before


@needs_root
def test_a_mount_that_only_reads_can_be_read(root: Path) -> None:
    before = contents(root)
    code = f'mount --bind {root} {root} && mount -o remount,ro,bind {root} && exec "$@"'
    done = run(
        """
        print(len(list(cache().read([key(number) for number in range(4)]))))
        try:
            add([7])
        except MerError as error:
            print("error:", error)
        """,
        root,
        before=("unshare", "--mount", "sh", "-c", code, "sh"),
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    rows, error = done.stdout.splitlines()
    assert rows == "4", done.stderr
    assert "only reads" in error
    assert contents(root) == before


@needs_root
def test_a_full_disk_loses_no_row_and_says_so(tmp_path: Path) -> None:
    code = f'mount -t tmpfs -o size=8m tmpfs {tmp_path} && exec "$@"'
    done = run(
        """
        added, hog = [], root / "hog"
        try:
            with cache().writer() as writer:
                for number in range(1000):
                    writer.add(key(number), {"audio": bytes([number % 256]) * 100_000})
                    added.append(key(number))
        except MerError as error:
            print("error:", error)
        os.system(f"mount -o remount,size=100m {root}")
        rows = list(cache().read(added))
        print(len(added) > 30, len(rows) == len(added), sorted(path.suffix for path in (root / "things").iterdir()))
        """,
        tmp_path,
        before=("unshare", "--mount", "sh", "-c", code, "sh"),
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    error, rest = done.stdout.splitlines()
    assert "free some space" in error
    assert rest.startswith("True True"), done.stderr
    assert ".journal" not in rest


def test_a_failed_write_leaves_the_rows_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = ShardCache(tmp_path, "things", SCHEMA).results.schema
    pen = journal.Journal(tmp_path, schema)
    pen.append({"key": KEYS[0], "audio": b"1" * 1000})
    write, calls = os.write, iter([True, False])

    def half(handle: int, data: memoryview) -> int:
        if next(calls):
            return write(handle, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "write", half)
        with pytest.raises(OSError, match="No space"):
            pen.append({"key": KEYS[1], "audio": b"2" * 1000})
    pen.append({"key": KEYS[2], "audio": b"3" * 1000})
    pen.close(remove=False)
    assert [batch.to_pylist()[0]["key"] for batch in journal.read(pen.path)] == [KEYS[0], KEYS[2]]


@pytest.mark.parametrize("name", ["cache", "cache/deeper"])
def test_a_cache_whose_folder_is_a_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(MerError, match=r"MER_CACHE.*cache") as caught:
        ShardCache(tmp_path / name, "things", SCHEMA)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "cache").read_text() == "not a folder"


def test_a_set_whose_folder_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "things").write_text("not a folder")
    with pytest.raises(MerError, match=r"things: .*a file stands where a folder is needed"):
        ShardCache(tmp_path, "things", SCHEMA)
