"""DVC's list of who reads and writes what, `.dvc/tmp/rwlock`: a DVC killed while it writes that leaves half of it.

Every later `dvc repro` then ends with 'JSON structure is corrupted' until somebody removes the file. The list names
processes that run: where no DVC has it in its hands, a broken one has nothing to say.
"""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

FOLDER = Path(".dvc/tmp")


def remove_broken(folder: Path = FOLDER) -> bool:
    """Remove the list if it is no JSON and no DVC is about to write it; whether it was removed."""
    file, guard = folder / "rwlock", folder / "rwlock.lock"
    if not file.is_file() or not _is_broken(file):
        return False
    with guard.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as DVC does, by zc.lockfile
        except BlockingIOError:
            return False
        if broken := _is_broken(file):
            file.unlink()
    return broken


def _is_broken(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return True
    except FileNotFoundError:
        return False
    return False
