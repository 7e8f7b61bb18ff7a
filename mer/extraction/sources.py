"""A clip's file: found inside `corpus.root`, checked, and known by its digest."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer.errors import ClipError
from mer.media.errors import (
    EmptyFileError,
    MissingFileError,
    NotAFileError,
    OutsideRootError,
    PermissionRefusedError,
    UnreadableFileError,
)
from mer.running.machine import explain
from mer.store.keys import FileDigests

NO_MEDIA = ""
"""The path of a clip of which only features are known: the corpus has no file of it."""
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


def file_digests(root: str | Path, paths: Sequence[str]) -> Iterator[str | None]:
    """SHA-256 of each file; None where it has none: decoding says why, unless there is no file to decode."""
    top = real_root(root)
    folder, parents = os.fspath(top), dict[str, str]()
    with FileDigests() as digests:
        for path in paths:
            if path == NO_MEDIA:
                yield None
                continue
            try:
                yield readable_digest(os.path.join(folder, path), top, digests, parents)
            except ClipError:
                yield None


def real_root(root: str | Path) -> Path:
    return Path(os.path.realpath(root))


def readable_digest(file: str | Path, top: Path, digests: FileDigests, parents: dict[str, str] | None = None) -> str:
    """SHA-256 of a file that may be decoded.

    Args:
        parents: where folders really are, to be filled and used again for the other files of a pass.

    Raises:
        MediaError: it is not there, not a file, empty, outside `top`, or cannot be read.
    """
    try:
        if not _is_inside(os.fspath(file), os.fspath(top), {} if parents is None else parents):
            raise OutsideRootError("the file is outside corpus.root, by its path or by a symbolic link")
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFileError("not a regular file")
        if status.st_size == 0:
            raise EmptyFileError("the file has no bytes")
        return digests.of(file)
    except PermissionError:
        raise PermissionRefusedError("no permission to read the file") from None
    except OSError as error:
        if error.errno in GONE:
            raise MissingFileError(error.strerror or str(error)) from None
        raise UnreadableFileError(explain(error)) from None
    except ValueError as error:
        raise MissingFileError(str(error)) from None


def _is_inside(file: str, top: str, parents: dict[str, str]) -> bool:
    """Whether a file really is below a folder, links followed.

    No pathlib here, and no folder is followed twice: for a hundred thousand small files that costs more than hashing.
    """
    folder, name = os.path.split(file)
    real = parents.get(folder)
    if real is None:
        real = parents[folder] = os.path.realpath(folder)
    place = os.path.realpath(file) if name in ("", ".", "..") or os.path.islink(file) else f"{real}{os.sep}{name}"
    return f"{place}{os.sep}".startswith(f"{top.rstrip(os.sep)}{os.sep}")
