"""Where the shard cache lives: outside the repository, because experiments run in copies of the workspace."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """`$MER_CACHE` where it is set, else the user's cache folder for `mer`."""
    return Path(os.environ.get("MER_CACHE") or platformdirs.user_cache_dir("mer")).expanduser().absolute()
