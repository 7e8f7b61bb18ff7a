"""What is written appears whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer.errors import MerError


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a file or a folder to; it becomes `target` where nothing went wrong.

    Raises:
        MerError: something is there already.
    """
    if os.path.lexists(target):
        raise MerError(f"{target}: there is something already; choose another name, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.rename(partial, target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)
