"""One cache for several users: modes, umask, sticky folders, and users who may only read."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from tests.store.others import NOBODY, OTHER, needs_root, output_of, run

pytestmark = needs_root
READ = "print(*[len(list(cache().read([key(n)]))) for n in map(int, sys.argv[2:])])"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that everyone can reach; pytest's own are for its user alone."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for part in (tmp_path, *tmp_path.parents):
        if temporary not in part.parents:
            break
        part.chmod(part.stat().st_mode | 0o055)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def share(root: Path, mode: int, user: int = NOBODY) -> Path:
    os.chown(root, user, NOBODY)
    root.chmod(mode)
    return root


def modes(root: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000])
@pytest.mark.parametrize(("mode", "files"), [(0o700, 0o600), (0o755, 0o644), (0o2775, 0o664), (0o1777, 0o666)])
def test_files_go_by_the_mode_of_the_cache_and_not_by_the_umask(root: Path, umask: int, mode: int, files: int) -> None:
    share(root, mode)
    output_of(
        "add([1])\nfrom mer.store.keys import file_digest\nfile_digest('Makefile', root)",
        root,
        user=NOBODY,
        umask=umask,
    )
    assert modes(root) == {files}
    assert stat.S_IMODE((root / "things").stat().st_mode) == mode


def test_two_users_of_an_open_folder_share_rows_and_take_over_what_the_other_left(root: Path) -> None:
    share(root, 0o777)
    output_of("add([1])", root, user=NOBODY, umask=0o077)
    run(
        "w = cache().writer().__enter__()\nw.add(key(2), {'audio': b'2'})\nos.kill(os.getpid(), 9)",
        root, user=NOBODY, umask=0o077,
    )  # fmt: skip
    assert output_of("add([3])\n" + READ, root, 1, 2, 3, user=OTHER, umask=0o077) == "1 1 1\n"
    assert output_of(READ, root, 1, 2, 3, user=NOBODY) == "1 1 1\n"
    assert not list(root.rglob("*.journal"))
    assert output_of("print([after for _, _, after in compact(root)])", root, user=OTHER) == "[1, 0]\n"
    assert output_of(READ, root, 1, 2, 3, user=NOBODY) == "1 1 1\n"


def test_in_a_sticky_folder_each_keeps_his_own_and_reads_all(root: Path) -> None:
    share(root, 0o1777, user=0)
    output_of("add([1]); add([2])", root, user=NOBODY)
    run("w = cache().writer().__enter__()\nw.add(key(3), {'audio': b'3'})\nos.kill(os.getpid(), 9)", root, user=NOBODY)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    code = "print(len(list(compact(root))), len(list(prune(root, 0))), len(list(verify(root))), len(list(usage(root))))"
    assert output_of(code, root, user=OTHER) == "2 0 2 2\n"
    assert output_of("add([4]); add([5])\n" + READ, root, 1, 2, 4, 5, user=OTHER) == "1 1 1 1\n"
    output_of("list(compact(root))", root, user=OTHER)
    assert {path: path.read_bytes() for path in before if path.exists() and path.name != "digests.sqlite"} == before
    assert output_of(READ, root, 1, 2, 3, 4, 5, user=NOBODY) == "1 1 1 1 1\n"


def test_who_may_only_read_reads_and_changes_nothing(root: Path) -> None:
    share(root, 0o755)
    output_of("add([1]); add([2])", root, user=NOBODY)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}
    done = run(READ + "\ntry: add([3])\nexcept MerError as error: print('error:', error)", root, 1, 2, user=OTHER)
    rows, error = done.stdout.splitlines()
    assert rows == "1 1", done.stderr
    assert "MER_CACHE" in error
    assert "corrupt" not in done.stderr
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()} == before


def test_a_broken_shard_that_may_not_be_moved_is_passed_over(root: Path) -> None:
    share(root, 0o755)
    output_of("add([1]); add([2])", root, user=NOBODY)
    path = next(path for path in (root / "things").glob("*.parquet") if b"\1" * 100 in path.read_bytes())
    path.write_bytes(path.read_bytes().replace(b"\1" * 100, b"\1" * 99 + b"\3"))
    code = """
    things = cache()
    for _ in range(2):
        try:
            print(len(list(things.read([key(1), key(2)]))))
        except KeyError as error:
            print(type(error).__name__)
    print(len(things.missing([key(1), key(2)])))
    """
    assert output_of(code, root, user=OTHER).split() == ["CorruptShardError", "MissingRowsError", "1"]


def test_a_shard_that_is_not_for_this_user_is_as_good_as_absent(root: Path) -> None:
    share(root, 0o777)
    output_of("add([1]); add([2])", root, user=NOBODY)
    path = next(path for path in (root / "things").glob("*.parquet") if b"\1" * 100 in path.read_bytes())
    path.chmod(0o600)
    assert output_of("print(len(cache().missing([key(1), key(2)])))", root, user=OTHER) == "1\n"
    assert path.exists()
