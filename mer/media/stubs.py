"""Files that stand for others: what git leaves of a large file where git-lfs did not fetch it."""

from __future__ import annotations

from pathlib import Path

STUB = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024
"""Bytes of a stub."""


def is_stub(path: str | Path) -> bool:
    """Whether a file is such a stub; False where it cannot be read."""
    try:
        if Path(path).stat().st_size > LARGEST:
            return False
        with open(path, "rb") as file:
            return file.read(len(STUB)) == STUB
    except OSError:
        return False
