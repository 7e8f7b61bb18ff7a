"""Keys: the same content gives the same key, any change another."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mer.store import keys
from mer.store.keys import FileDigests, digest, file_digest
from mer.store.location import cache_root


def write(path: Path, content: bytes, *, age: float = 60.0) -> Path:
    path.write_bytes(content)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "微 笑.mp4", b"content")
    assert file_digest(path, tmp_path) == hashlib.sha256(b"content").hexdigest()


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a", b"content")
    first = file_digest(path, tmp_path)
    monkeypatch.setattr(keys.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert file_digest(path, tmp_path) == first


@pytest.mark.parametrize(("content", "age"), [(b"longer content", 60.0), (b"CONTENT", 30.0)])
def test_a_changed_file_is_hashed_again(tmp_path: Path, content: bytes, age: float) -> None:
    path = write(tmp_path / "a", b"content")
    file_digest(path, tmp_path)
    write(path, content, age=age)
    assert file_digest(path, tmp_path) == hashlib.sha256(content).hexdigest()


def test_a_file_just_written_is_not_trusted_to_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"content", age=0.0)
    status = path.stat()
    file_digest(path, tmp_path)
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # changed within one tick of the clock
    assert file_digest(path, tmp_path) == hashlib.sha256(b"CONTENT").hexdigest()


def test_two_runs_may_share_the_index(tmp_path: Path) -> None:
    paths = [write(tmp_path / str(number), bytes([number])) for number in range(5)]
    with FileDigests(tmp_path) as one, FileDigests(tmp_path) as two:
        assert [one.of(path) for path in paths] == [two.of(path) for path in paths]


def test_digest_tells_values_apart() -> None:
    values = [("a",), ("a", ""), ("", "a"), (1,), ("1",), (1.5,), (None,), (True,), (["a"],), ({"a": 1},), ({"a": 2},)]
    assert len({digest(*value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        digest(float("nan"))


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("MER_CACHE")
    assert cache_root().is_absolute()
    assert cache_root().name == "mer"


def trade_places(one: Path, other: Path) -> None:
    third = one.with_suffix(".aside")
    one.rename(third)
    other.rename(one)
    third.rename(other)


def test_files_of_one_size_and_time_that_change_places_keep_their_own_digests(tmp_path: Path) -> None:
    contents = [b"content of a", b"content of b"]
    one, other = (write(tmp_path / name, content) for name, content in zip("ab", contents, strict=True))
    os.utime(one, ns=(0, 0))
    os.utime(other, ns=(0, 0))
    assert [file_digest(path, tmp_path) for path in (one, other)] == [hashlib.sha256(c).hexdigest() for c in contents]
    trade_places(one, other)
    assert [file_digest(path, tmp_path) for path in (other, one)] == [hashlib.sha256(c).hexdigest() for c in contents]


def test_a_sample_tells_files_apart_where_the_file_system_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy onto a network share, say, that sets every time and reuses the inode."""
    blind = SimpleNamespace(st_size=5000, st_mtime_ns=0, st_ctime_ns=0, st_ino=1)
    monkeypatch.setattr(keys.os, "fstat", lambda _: blind)
    path = write(tmp_path / "a", b"1" * 5000)
    file_digest(path, tmp_path)
    write(path, b"1" * 4000 + b"2" * 1000)
    assert file_digest(path, tmp_path) == hashlib.sha256(b"1" * 4000 + b"2" * 1000).hexdigest()


def _garbage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"?" * 5000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _holes(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


def _later(path: Path) -> None:
    with sqlite3.connect(path) as index:
        index.execute("PRAGMA user_version=99")
    index.close()


def _other_columns(path: Path) -> None:
    with sqlite3.connect(path) as index:
        index.execute("ALTER TABLE files ADD COLUMN blake3 TEXT")
    index.close()


@pytest.mark.parametrize("damage", [_garbage, _cut, _holes, _later, _other_columns])
def test_a_damaged_index_or_a_later_one_is_set_aside_with_a_line(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write(tmp_path / str(number), bytes([number])) for number in range(200)]
    with FileDigests(tmp_path) as digests:
        right = [digests.of(path) for path in paths]
    damage(tmp_path / "digests.sqlite")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with FileDigests(tmp_path) as digests:
                assert [digests.of(path) for path in paths] == right
    assert len(caplog.records) == 1
    assert "digests.sqlite" in caplog.text
    assert len(list(tmp_path.glob("digests.sqlite.*.aside"))) == 1


def test_an_index_that_an_earlier_version_wrote_is_no_trouble(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"content")
    with sqlite3.connect(tmp_path / "digests.sqlite") as index:
        index.execute("CREATE TABLE digests (path BLOB PRIMARY KEY, size INT, mtime_ns INT, sha256 TEXT)")
        status = path.stat()
        index.execute("INSERT INTO digests VALUES (?, ?, ?, 'old')", (bytes(path), 7, status.st_mtime_ns))
    index.close()
    assert file_digest(path, tmp_path) == hashlib.sha256(b"content").hexdigest()


def test_an_index_that_cannot_be_kept_costs_no_more_than_its_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "digests.sqlite").mkdir()
    path = write(tmp_path / "a", b"content")
    assert file_digest(path, tmp_path) == hashlib.sha256(b"content").hexdigest()
    assert "hashed anew" in caplog.text
