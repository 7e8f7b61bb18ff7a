"""Where the shard cache lives: outside the repository, because experiments run in copies of the workspace."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from mer.errors import MerError
from mer.running.machine import explain
from mer.store.sharing import create

MARKER = "CACHEDIR.TAG"
"""The name that backup programs know (https://bford.info/cachedir/): they leave such a folder out."""
OURS = b"# The shard cache of mer; see `mer cache --help`.\n"
TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n" + OURS


def cache_root() -> Path:
    """`$MER_CACHE` where it is set, else the user's cache folder for `mer`."""
    return Path(os.environ.get("MER_CACHE") or platformdirs.user_cache_dir("mer")).expanduser().absolute()


def claim(root: Path) -> None:
    """Make the folder where it is missing, and mark it as a cache of ours. What else lies in it stays untouched.

    A folder that this user may only read is left as it is: what it holds can be read.

    Raises:
        MerError: the folder cannot be made, or is a file.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MerError(f"the cache's folder (MER_CACHE): {explain(error, root)}") from None
    if not is_cache(root):
        with suppress(OSError):
            _mark(root)


def _mark(root: Path) -> None:
    """The mark appears whole, beside another program's tag too: that one is then ours as well."""
    theirs = b""
    with suppress(FileNotFoundError):
        theirs = (root / MARKER).read_bytes()
    temporary = root / f".{MARKER}.{os.getpid()}"
    with os.fdopen(create(temporary), "wb") as file:
        file.write(theirs + OURS if theirs else TAG)
    os.replace(temporary, root / MARKER)


def is_cache(root: Path) -> bool:
    """Whether a folder carries our mark."""
    try:
        return OURS in (root / MARKER).read_bytes()
    except OSError:
        return False


def require_cache(root: Path) -> None:
    """Refuse a folder that is not a cache of ours; one that is not there, or empty, is an empty cache.

    Raises:
        MerError: it holds other things.
    """
    if is_cache(root) or not root.exists():
        return
    if not root.is_dir():
        raise MerError(f"{root}: a file, not the folder of a cache")
    try:
        empty = next(root.iterdir(), None) is None
    except OSError as error:
        raise MerError(explain(error, root)) from None
    if not empty:
        raise MerError(
            f"{root}: not a cache of mer, so nothing in it is touched (it has no {MARKER} of ours; a cache of an "
            "earlier version gets one from the next run that uses it)"
        )
