"""A list of readers and writers that a killed DVC left half-written is taken away, any other is left alone."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from mer import rwlock


@pytest.mark.parametrize("content", ["", '{"write": {"/a": {"pid": 1', "\0\0"])
def test_half_a_list_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "rwlock").write_text(content)
    assert rwlock.remove_broken(tmp_path)
    assert not (tmp_path / "rwlock").exists()


def test_a_whole_list_stays(tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text(json.dumps({"write": {}, "read": {}}))
    assert not rwlock.remove_broken(tmp_path)
    assert (tmp_path / "rwlock").exists()


def test_a_list_that_somebody_writes_stays(tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text("")
    with (tmp_path / "rwlock.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not rwlock.remove_broken(tmp_path)
    assert (tmp_path / "rwlock").exists()


def test_without_a_list_nothing_happens(tmp_path: Path) -> None:
    assert not rwlock.remove_broken(tmp_path)
    assert not rwlock.remove_broken(tmp_path / "none")
