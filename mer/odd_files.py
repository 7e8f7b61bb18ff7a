"""What would stop DVC in a corpus folder before any line of ours: it hashes all that is there.

DVC opens a pipe and waits for ever, and fails on a name that is not UTF-8 without saying which. It cannot be told to
pass such files over; so `make repro` looks before it calls DVC, and who calls DVC himself may: `python -m mer.links`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mer.errors import MerError

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_tree(root: Path) -> None:
    """Look at every name in a folder and below; links are followed, each folder is entered once.

    Raises:
        MerError: one is neither a file nor a folder, leads nowhere, or is not UTF-8.
    """
    for path in _odd(root, {os.path.realpath(root)}):
        raise MerError(f"corpus.root: {path}; remove it, or keep it outside of the corpus")


def fault_of(path: str | Path) -> str | None:
    """What is wrong with a path, in a line that names it; None for a file or a folder."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return f"{os.fspath(path)!a}: no permission to look at it"
    except OSError:
        return f"{os.fspath(path)!a}: a link that leads nowhere"
    kind = KINDS.get(stat.S_IFMT(mode))
    return None if kind is None else f"{os.fspath(path)!a}: {kind}, no file"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """As `entry.is_dir()`, for a link that leads to itself as well."""
    with suppress(OSError):
        return entry.is_dir()
    return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """As `entry.is_file()`, for a link that leads to itself as well."""
    with suppress(OSError):
        return entry.is_file()
    return False


def _odd(folder: Path, entered: set[str]) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield f"{os.fspath(folder)!a}: {error.strerror or error}"
        return
    for entry in entries:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            yield f"{entry.path!a}: the name is not valid UTF-8"
        if is_folder(entry):
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if real not in entered:
                entered.add(real)
                yield from _odd(Path(entry.path), entered)
        elif not is_file(entry) and (fault := fault_of(entry.path)) is not None:
            yield fault
