"""Faults of the machine, told in one line: what happened, to which path, and what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

ADVICE = {
    errno.ENOSPC: "free some space, or set MER_CACHE to a folder on another disk",
    errno.EDQUOT: "the quota is used up: free some space, or set MER_CACHE to a folder elsewhere",
    errno.EACCES: "ask its owner for permission, or set MER_CACHE to a folder of your own",
    errno.EPERM: "ask its owner for permission, or set MER_CACHE to a folder of your own",
    errno.EROFS: "it lies on a file system that only reads: set MER_CACHE to a folder that can be written",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: end other programs",
    errno.EIO: "the disk reports an error: look at it before going on",
    errno.ENOMEM: "give the run more memory, or fewer workers (compute.workers)",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or take fewer workers (compute.workers)",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOENT: "it went while the run used it, or was never there",
}


def explain(error: OSError | MemoryError, path: str | Path | None = None) -> str:
    """One line for people; `path` names the file where the error itself does not."""
    if not isinstance(error, OSError):
        return f"{f'{path}: ' if path else ''}not enough memory: {ADVICE[errno.ENOMEM]}"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    where = f"{' -> '.join(names) or path}: " if names or path else ""
    what = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
    advice = ADVICE.get(error.errno or 0)
    return f"{where}{what}" + (f"; {advice}" if advice else "")
