"""What a killed DVC left half-written is removed or put back; what is whole, or in somebody's hands, is left alone."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML

from mer.half_written import COPY, mend

WHOLE = """schema: '2.0'
stages:
  one:
    cmd: python -m stages.one
    deps:
    - path: a.py
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e
      size: 5
    params:
      params.yaml:
        corpus.root: data
        text.encoder:
    outs:
    - path: data/one
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e
      size: 9
"""


def mended(folder: Path) -> list[str]:
    return list(mend(folder, folder / "dvc.lock"))


@pytest.mark.parametrize("content", ["", '{"write": {"/a": {"pid": 1', "\0\0"])
def test_half_a_list_of_readers_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "rwlock").write_text(content)
    assert "removed" in mended(tmp_path)[0]
    assert not (tmp_path / "rwlock").exists()
    assert mended(tmp_path) == []


def test_a_whole_list_stays(tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text(json.dumps({"write": {}, "read": {}}))
    assert mended(tmp_path) == []
    assert (tmp_path / "rwlock").exists()


def test_dvc_lock_cut_anywhere_is_put_back_or_is_one_that_dvc_reads(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(WHOLE)
    assert mended(tmp_path) == []
    for end in range(len(WHOLE)):
        lock.write_text(WHOLE[:end])
        lines = mended(tmp_path)
        assert not lines or lock.read_text() == WHOLE
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(lock.read_text()))
        (tmp_path / COPY).write_text(WHOLE)


@pytest.mark.parametrize(("name", "guard"), [("rwlock", "rwlock.lock"), ("dvc.lock", "lock")])
def test_what_a_running_dvc_writes_is_left_alone(tmp_path: Path, name: str, guard: str) -> None:
    (tmp_path / "dvc.lock").write_text(WHOLE)
    mended(tmp_path)
    (tmp_path / name).write_text("")
    with (tmp_path / guard).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert mended(tmp_path) == []
    assert not (tmp_path / name).read_text()


def test_without_dvc_nothing_happens(tmp_path: Path) -> None:
    assert mended(tmp_path / "none") == []
