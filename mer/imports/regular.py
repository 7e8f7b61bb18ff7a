"""A look at a file before it is opened: who opens a pipe waits for ever."""

from __future__ import annotations

import stat
from pathlib import Path

from mer.errors import MerError


def check_regular(path: Path) -> None:
    """Raise `MerError` where `path` is missing, empty, or no file."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise MerError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise MerError(f"{path}: not a regular file")
    if not status.st_size:
        raise MerError(f"{path}: empty")
