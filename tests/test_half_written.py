"""What a killed DVC left half-written is removed or put back; what is whole, or in somebody's hands, is left alone."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML

from mer.half_written import FOLDER, PIPELINES, mend

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


@pytest.fixture
def dvc(tmp_path: Path) -> Path:
    """DVC's folder of what is there for a while, in a repository with two pipelines."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (tmp_path / "sample").mkdir()
    return folder


def mended(root: Path) -> list[str]:
    return list(mend(root))


@pytest.mark.parametrize("content", ["", '{"write": {"/a": {"pid": 1', "\0\0"])
def test_half_a_list_of_readers_is_removed(tmp_path: Path, dvc: Path, content: str) -> None:
    (dvc / "rwlock").write_text(content)
    assert "removed" in mended(tmp_path)[0]
    assert not (dvc / "rwlock").exists()
    assert mended(tmp_path) == []


def test_a_whole_list_stays(tmp_path: Path, dvc: Path) -> None:
    (dvc / "rwlock").write_text(json.dumps({"write": {}, "read": {}}))
    assert mended(tmp_path) == []
    assert (dvc / "rwlock").exists()


@pytest.mark.parametrize("name", ["dvc.lock", "sample/dvc.lock"])
@pytest.mark.usefixtures("dvc")
def test_dvc_lock_cut_anywhere_is_put_back_or_is_one_that_dvc_reads(tmp_path: Path, name: str) -> None:
    lock = tmp_path / name
    lock.write_text(WHOLE)
    assert mended(tmp_path) == []
    (copy,) = dvc_copies(tmp_path)
    for end in range(len(WHOLE)):
        lock.write_text(WHOLE[:end])
        lines = mended(tmp_path)
        assert not lines or (lock.read_text() == WHOLE and lines == [told(name)])
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(lock.read_text()))
        copy.write_text(WHOLE)


def told(name: str) -> str:
    aside = FOLDER / f"broken-{name.replace('/', '-')}"
    return f"put back an earlier {name}: it was broken, as by a killed DVC, and lies in {aside} now"


def dvc_copies(root: Path) -> list[Path]:
    return list((root / FOLDER).glob("mer-*"))


@pytest.mark.parametrize("name", ["dvc.lock", "sample/dvc.lock"])
@pytest.mark.parametrize("copy", [None, "", WHOLE[:30]])
@pytest.mark.parametrize("broken", ["", "<<<<<<< HEAD\n" + WHOLE])
def test_a_lock_that_was_broken_before_there_was_a_copy_is_set_aside(
    tmp_path: Path, dvc: Path, name: str, copy: str | None, broken: str
) -> None:
    (tmp_path / name).write_text(broken)
    if copy is not None:
        (dvc / ("mer-" + name.replace("/", "-"))).write_text(copy)
    (line,) = mended(tmp_path)
    aside = FOLDER / f"broken-{name.replace('/', '-')}"
    assert line.startswith(f"moved {name} to {aside}: it was broken")
    assert (tmp_path / aside).read_text() == broken
    assert not (tmp_path / name).exists()
    assert mended(tmp_path) == []


@pytest.mark.usefixtures("dvc")
def test_a_pipeline_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    lock = tmp_path / "another" / "dvc.lock"
    lock.parent.mkdir()
    lock.write_text("")
    assert mended(tmp_path) == []
    assert not lock.read_text()


def test_the_pipelines_looked_after_are_those_of_the_repository() -> None:
    root = Path(__file__).parents[1]
    assert {"", *(path.parent.name for path in root.glob("*/dvc.yaml"))} == set(PIPELINES)


@pytest.mark.parametrize(
    ("name", "guard"), [(f"{FOLDER}/rwlock", "rwlock.lock"), ("dvc.lock", "lock"), ("sample/dvc.lock", "lock")]
)
def test_what_a_running_dvc_writes_is_left_alone(tmp_path: Path, dvc: Path, name: str, guard: str) -> None:
    for lock in ("dvc.lock", "sample/dvc.lock"):
        (tmp_path / lock).write_text(WHOLE)
    mended(tmp_path)
    (tmp_path / name).write_text("")
    with (dvc / guard).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert mended(tmp_path) == []
    assert not (tmp_path / name).read_text()


def test_without_dvc_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("")
    assert mended(tmp_path / "none") == []
    assert mended(tmp_path) == []
