"""Keys: the same content gives the same key, any change another."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

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
