"""Uploads on their way to the decoder: a private folder of the server's, from which each file goes with its answer."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from mer.serve.limits import MIB, Limits
from mer.serve.refusals import SlowError, TooLargeError

PREFIX = "mer-serve-"
LOCK = "lock"


class Spool:
    """A folder that only this user may read, gone when the server ends; what a killed server left is cleared."""

    def __init__(self, limits: Limits, within: Path | None = None) -> None:
        within = within or Path(tempfile.gettempdir())
        _clear_abandoned(within)
        self.limits = limits
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=within))
        self._lock = _locked(self.folder / LOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)

    def files(self) -> list[Path]:
        """What lies there now."""
        return [path for path in self.folder.iterdir() if path.name != LOCK]

    async def receive(self, chunks: AsyncIterator[bytes], announced: int | None) -> Path:
        """Write an upload to a file of a name of our own; the caller removes it.

        Raises:
            TooLargeError: it is, or says that it is, larger than the limit.
            SlowError: it took longer than the limit.
        """
        if announced is not None and announced > self.limits.bytes:
            raise self._too_large()
        handle, name = tempfile.mkstemp(dir=self.folder)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                async with asyncio.timeout(self.limits.upload_seconds):
                    async for chunk in chunks:
                        if file.tell() + len(chunk) > self.limits.bytes:
                            raise self._too_large()
                        file.write(chunk)
        except TimeoutError:
            path.unlink()
            raise SlowError(f"the upload took longer than {self.limits.upload_seconds:g} seconds") from None
        except BaseException:
            path.unlink()
            raise
        return path

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the file is larger than {self.limits.bytes // MIB} MiB")


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def _clear_abandoned(within: Path) -> None:
    """Folders of servers that were killed: their lock is free."""
    for folder in within.glob(f"{PREFIX}*"):
        try:
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or one that is just being made
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its server is alive
        finally:
            os.close(handle)
