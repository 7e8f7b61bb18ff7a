"""A clip's file: found inside `corpus.root`, checked, and known by its digest."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer.errors import ClipError
from mer.machine import explain
from mer.media.errors import (
    EmptyFileError,
    MissingFileError,
    NotAFileError,
    OutsideRootError,
    PermissionRefusedError,
    UnreadableFileError,
)
from mer.store.keys import FileDigests

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


def file_digests(root: str | Path, paths: Sequence[str]) -> Iterator[str | None]:
    """SHA-256 of each file; None where it has none: decoding says why."""
    top = real_root(root)
    folder = os.fspath(top)
    with FileDigests() as digests:
        for path in paths:
            try:
                yield readable_digest(os.path.join(folder, path), top, digests)
            except ClipError:
                yield None


def real_root(root: str | Path) -> Path:
    return Path(os.path.realpath(root))


def readable_digest(file: str | Path, top: Path, digests: FileDigests) -> str:
    """SHA-256 of a file that may be decoded.

    Raises:
        MediaError: it is not there, not a file, empty, outside `top`, or cannot be read.
    """
    try:
        # No pathlib here: a hundred thousand paths cost it more than hashing what is small.
        if not os.path.join(os.path.realpath(file), "").startswith(os.path.join(top, "")):
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
