"""A cache that may only be read, or has no space left, in each per-clip step: one line, finished clips kept, then the
same bytes."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mer.params import Params
from mer.running import stage
from mer.store import journal
from mer.store.cache import ShardCache
from tests.extraction.steps import STEPS, make_hubert, stage_of

CLIPS = ("one", "two", "three")
SAYS = {"read-only": "Read-only file system", "full": "No space left on device"}


class Disk:
    """The cache's file system: one of its own where we may mount one, else a stub at the point where we write."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        folder.mkdir()
        self.own = _mount("-t", "tmpfs", "-o", "size=16m", "none", str(folder))

    def spoil(self, harm: str) -> None:
        if not self.own:
            number = {"read-only": errno.EROFS, "full": errno.ENOSPC}[harm]

            def refuse(path: Path) -> int:
                raise OSError(number, os.strerror(number), str(path))

            self._monkeypatch.setattr(journal, "create", refuse)
        elif harm == "read-only":
            assert _mount("-o", "remount,ro", str(self.folder))
        else:
            with pytest.raises(OSError, match="No space"):
                _fill(self.folder / "ballast")

    def mend(self) -> None:
        if not self.own:
            self._monkeypatch.setattr(journal, "create", CREATE)
            return
        assert _mount("-o", "remount,rw", str(self.folder))
        (self.folder / "ballast").unlink(missing_ok=True)

    def end(self) -> None:
        if self.own:
            subprocess.run(["umount", str(self.folder)], check=True)


CREATE = journal.create


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _mount(*options: str) -> bool:
    try:
        return not subprocess.run(["mount", *options], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(tmp_path / "cache", monkeypatch)
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stage, "load_params", Params)
    yield disk
    disk.end()


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hubert(tmp_path_factory.mktemp("hubert"))


def outs(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def forget_one(cache: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take one row of a step out of the cache; the keys that stay."""
    import pyarrow.parquet as pq

    shard = next((cache / step).glob("*.parquet"))
    table = pq.read_table(shard)
    schema = table.schema.remove(table.schema.get_field_index("key")).remove_metadata()
    shard.unlink()
    rows = table.to_pylist()[:-1]
    with ShardCache(cache, step, schema).writer() as writer:
        for row in rows:
            writer.add(row["key"], {name: value for name, value in row.items() if name != "key"})
    return [row["key"] for row in rows]


def rows_of(cache: Path, step: str) -> list[Any]:
    import pyarrow.parquet as pq

    return [key for shard in (cache / step).glob("*.parquet") for key in pq.read_table(shard)["key"].to_pylist()]


@pytest.mark.parametrize("harm", SAYS)
@pytest.mark.parametrize("step", STEPS)
def test_a_spoilt_disk_ends_each_stage_with_one_line_and_keeps_what_was_finished(
    step: str,
    harm: str,
    disk: Disk,
    tmp_path: Path,
    hubert: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_stage: Callable[[], object] = stage_of(step, tmp_path, hubert, monkeypatch, CLIPS)
    run_stage()
    undisturbed = outs(tmp_path / "data")
    kept = forget_one(tmp_path / "cache", step, monkeypatch)
    assert len(kept) == len(CLIPS) - 1
    manifest = tmp_path / "data" / "manifests" / f"{step}.parquet"
    manifest.unlink()
    disk.spoil(harm)
    with pytest.raises(SystemExit) as exited:
        stage.run(lambda params: run_stage() and None)
    said = str(exited.value)
    assert said.startswith("error: ")
    assert SAYS[harm] in said
    assert "\n" not in said
    assert not manifest.exists()
    assert sorted(rows_of(tmp_path / "cache", step)) == sorted(kept)
    disk.mend()
    capsys.readouterr()
    run_stage()
    assert f"{step}: 3 clips: 1 computed, 2 from the cache" in capsys.readouterr().out
    assert outs(tmp_path / "data") == undisturbed
