"""`mer cache` on folders that hold other things: it refuses, or touches its own alone; counted by checksums."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mer.cache_cli import app
from mer.errors import MerError
from mer.store import shards
from mer.store.cache import ShardCache

SCHEMA = pa.schema([pa.field("audio", pa.binary())])
COMMANDS = [["list"], ["verify"], ["prune", "--days", "0"], ["compact"]]
HEX = "0123456789abcdef" * 4


def foreign(folder: Path) -> dict[Path, str]:
    """Other people's files, under names as near to ours as one can think of; and their checksums."""
    table = pa.table({"key": ["a", "a", "b"], "audio": [b"1", b"1", b"2"]})
    strict = pa.table(
        [table["key"], table["audio"]], pa.schema([pa.field("key", pa.string(), nullable=False), *SCHEMA])
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("sales.parquet", "ab12.parquet", f"{HEX[:-1]}.parquet", f"x{HEX}.parquet", f"{HEX}.parquet.bak"):
        pq.write_table(table, folder / name)
    pq.write_table(strict, folder / "strict.parquet")
    pq.write_table(strict, folder / f"{HEX}.parquet")
    for name in (HEX, HEX[::-1]):
        pq.write_table(table.drop_columns(["key"]), folder / f"mer-{name}.parquet")  # our name, not our schema
    pq.write_table(table, folder / f"{HEX[:32]}.parquet")  # an earlier name of ours
    for name in (
        "a.corrupt",
        f"{HEX}.corrupt",
        f"mer-{HEX[:32]}.journal",
        ".b.tmp",
        "c.journal",
        f"{HEX[:32]}.journal",
        "notes.txt",
        "digests.csv",
    ):
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, (0, 0))
    for path in folder.iterdir():
        if path.is_file():
            os.utime(path, (0, 0))
    (folder / "linked.parquet").symlink_to(folder / "sales.parquet")
    return checksums(folder)


def checksums(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def mer_cache(root: Path, *words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, [*words, "--root", str(root)])
    return result.exit_code, result.output, result.exception


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("where", [".", "decode", "a/b/c"])
def test_a_folder_that_is_no_cache_is_refused_and_keeps_every_file(
    tmp_path: Path, command: list[str], where: str
) -> None:
    foreign(tmp_path / where)
    before = checksums(tmp_path)
    code, _, error = mer_cache(tmp_path, *command)
    assert code == 1
    assert isinstance(error, MerError)
    assert str(error).startswith(f"{tmp_path}: not a cache of mer")
    assert "\n" not in str(error)
    assert checksums(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_another_programs_cache_is_refused(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n# by pytest\n")
    before = checksums(tmp_path)
    assert mer_cache(tmp_path, *command)[0] == 1
    assert checksums(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_is_no_cache(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, error = mer_cache(tmp_path / "file", *command)
    assert (code, str(error)) == (1, f"{tmp_path / 'file'}: a file, not the folder of a cache")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_folder_that_is_empty_or_not_there_is_an_empty_cache(tmp_path: Path, command: list[str]) -> None:
    assert mer_cache(tmp_path, *command)[0] == 0
    assert mer_cache(tmp_path / "none", *command)[0] == 0
    assert list(tmp_path.iterdir()) == []


def fill(root: Path) -> list[str]:
    """Keys of rows in four sessions, some of them repeated."""
    for number in range(4):
        with ShardCache(root, "decode", SCHEMA).writer() as writer:
            for row in (number, number + 1):
                writer.add(f"{row:064x}", {"audio": str(row).encode() * 1000})
    return [f"{row:064x}" for row in range(5)]


def test_a_mixed_folder_loses_nothing(tmp_path: Path) -> None:
    """Beside our sets, in their very folder, below it, and in folders of names that other sets of ours have."""
    theirs: dict[Path, str] = {}
    for where in (".", "decode", "decode/failures/deeper", "audio", "data/tables"):
        theirs |= foreign(tmp_path / where)
    theirs = {path: value for path, value in checksums(tmp_path).items() if path in theirs}
    keys = fill(tmp_path)
    for command in (["list"], ["verify"], ["compact"], ["prune"], ["verify"], ["compact"]):
        code, output, error = mer_cache(tmp_path, *command)
        assert code == 0, (command, output, error)
        assert {path: checksums(tmp_path).get(path) for path in theirs} == theirs
        cache = ShardCache(tmp_path, "decode", SCHEMA)
        assert [row["key"] for row in cache.read(keys)] == keys
    assert len(shards.names(tmp_path / "decode")) == 3  # two have only our name
    code, output, _ = mer_cache(tmp_path, "prune", "--days", "0")
    assert (code, output.split(",")[0]) == (0, "removed 1 files")
    assert {path: checksums(tmp_path).get(path) for path in theirs} == theirs


def test_another_programs_tag_stays_where_the_folder_is_used_for_both(tmp_path: Path) -> None:
    tag = b"Signature: 8a477f597d28d172789f06886806bc55\n# by pytest\n"
    (tmp_path / "CACHEDIR.TAG").write_bytes(tag)
    fill(tmp_path)
    assert (tmp_path / "CACHEDIR.TAG").read_bytes().startswith(tag)
    assert mer_cache(tmp_path, "list")[0] == 0


def test_shards_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    keys = fill(tmp_path)
    folder = tmp_path / "decode"
    before = list(ShardCache(tmp_path, "decode", SCHEMA).read(keys))
    (tmp_path / "CACHEDIR.TAG").unlink()
    (folder / ".mer-shards").unlink()
    for number, path in enumerate(shards.names(folder)):
        path.rename(folder / f"{number:032x}.parquet")
    (folder / f"{99:032x}.parquet").write_bytes(b"PAR1 but not whole")
    assert list(ShardCache(tmp_path, "decode", SCHEMA).read(keys)) == before
    assert len(shards.names(folder)) == 4
    assert mer_cache(tmp_path, "verify")[:2] == (0, "0 corrupt shards\n")
    assert (folder / f"{99:032x}.parquet").exists()
