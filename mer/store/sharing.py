"""A cache folder shared by users: what is made in it can be used by whoever may use the folder, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder inside one that exists, with its parent's mode: group, set-group and sticky bits travel down.

    Raises:
        OSError: it cannot be made, or a file has its name.
    """
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_dir():
            return
        raise
    with suppress(OSError):  # file systems without modes
        path.chmod(stat.S_IMODE(path.parent.stat().st_mode))


def create(path: Path) -> int:
    """Create a file, for reading and writing, and give its descriptor: who may write the folder may write the file.

    Raises:
        FileExistsError: the name is taken.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(OSError):
        os.fchmod(handle, 0o600 | (path.parent.stat().st_mode & 0o666))
    return handle


def may_remove(path: Path) -> bool:
    """Whether this user may remove or rename a file: in a sticky folder only its owner, or the folder's, may."""
    try:
        folder, file = path.parent.stat(), path.lstat()
    except OSError:
        return False
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return False
    return not folder.st_mode & stat.S_ISVTX or os.geteuid() in (0, file.st_uid, folder.st_uid)
