"""What a DVC that is killed while it writes leaves half-written, after which every later `dvc` fails.

`.dvc/tmp/rwlock` lists who reads and writes what: where no DVC runs, it has nothing to say. `dvc.lock` says what each
stage was made of: a good copy of it is kept, and put back; what ran since runs again, for the most part from the cache.
Where there is no copy yet (DVC was killed at its first stage), all stages run. The broken file is set aside: it may be
another's work, with git's marks of a conflict in it.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(".dvc/tmp")
LOCK = "dvc.lock"
PIPELINES = ("", "sample", "adapt")
"""The folders of ours that have a dvc.yaml."""
DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


def mend(root: Path = Path()) -> Iterator[str]:
    """Lines that say what was mended, in the pipeline of a repository and those of its folders."""
    folder = root / FOLDER
    if not folder.is_dir():
        return
    if _replace_broken(folder / "rwlock", folder / "rwlock.lock", _is_list, Path.unlink):
        yield f"removed {FOLDER / 'rwlock'}, of which a killed DVC had written a part"
    for lock in (Path(pipeline, LOCK) for pipeline in PIPELINES):
        name = "-".join(lock.parts)
        copy, aside = folder / f"mer-{name}", folder / f"broken-{name}"
        if _replace_broken(root / lock, folder / "lock", _is_lock, partial(_put_back, copy, aside)):
            yield _told(lock, FOLDER / aside.name, put_back=(root / lock).is_file())
        if (root / lock).is_file() and _is_lock(root / lock):
            _copy(root / lock, copy)


def _put_back(copy: Path, aside: Path, lock: Path) -> None:
    lock.replace(aside)
    if copy.is_file() and _is_lock(copy):
        _copy(copy, lock)


def _told(lock: Path, aside: Path, *, put_back: bool) -> str:
    if put_back:
        return f"put back an earlier {lock}: it was broken, as by a killed DVC, and lies in {aside} now"
    return (
        f"moved {lock} to {aside}: it was broken, as by a killed DVC, and no copy was kept of it. Its stages run "
        f"again, for the most part from the cache (where git has one: git checkout {lock})"
    )


def _replace_broken(
    file: Path, guard: Path, is_good: Callable[[Path], bool], replace: Callable[[Path], object]
) -> bool:
    """Whether the file was broken and no DVC held its lock, so that it was replaced."""
    if not file.is_file() or is_good(file):
        return False
    with _held(guard) as ours:
        broken = ours and file.is_file() and not is_good(file)
        if broken:
            replace(file)
    return broken


@contextmanager
def _held(guard: Path) -> Iterator[bool]:
    """Whether we hold a lock of DVC's, taken as DVC takes it (zc.lockfile)."""
    with guard.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)


def _is_list(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True


def _is_lock(file: Path) -> bool:
    try:
        values = yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, ValueError):
        return False
    stages = values.get("stages") if isinstance(values, dict) and values.get("schema") else None
    return isinstance(stages, dict) and all(map(_is_stage, stages.values()))


def _is_stage(values: Any) -> bool:
    if not isinstance(values, dict) or not values.get("cmd"):
        return False
    lists = [values.get(part, []) for part in ("deps", "outs")]
    params = values.get("params", {})
    if not all(isinstance(part, list) for part in lists) or not isinstance(params, dict):
        return False
    if not all(isinstance(part, dict) for part in params.values()):
        return False
    entries = [entry for part in lists for entry in part]
    return all(map(_is_entry, entries))


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or "path" not in entry:
        return False
    if "md5" in entry and not DIGEST.fullmatch(str(entry["md5"])):
        return False
    return all(isinstance(value, int if name in ("size", "nfiles") else str | bool) for name, value in entry.items())
