"""Workers for the tests of the engines: plain classes that another process can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer.errors import ClipError


class OddError(ClipError):
    """Thirteen is not squared."""


@dataclass(frozen=True)
class Squares:
    """Squares numbers; notes each loading in `folder`; kills itself the first time it sees `deadly`."""

    folder: str
    deadly: int | None = None
    always_deadly: int | None = None
    isolated: bool = False
    seconds: float = 0.0

    def setup(self) -> Callable[[Sequence[int]], list[Any]]:
        Path(self.folder, f"loaded-{os.getpid()}-{time.monotonic_ns()}").touch()
        return self._work

    def _work(self, batch: Sequence[int]) -> list[Any]:
        results: list[Any] = []
        for number in batch:
            Path(self.folder, f"tried-{number}-{time.monotonic_ns()}").touch()
            time.sleep(self.seconds)
            if number == self.always_deadly or (number == self.deadly and self._first_time()):
                os.kill(os.getpid(), signal.SIGKILL)
            results.append(OddError("thirteen") if number == 13 else number * number)
        return results

    def _first_time(self) -> bool:
        try:
            Path(self.folder, "died").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True)
class Raises:
    """Raises `error` on a batch that holds a seven."""

    error: type[Exception]

    def setup(self) -> Callable[[Sequence[int]], list[Any]]:
        return self._work

    def _work(self, batch: Sequence[int]) -> list[Any]:
        if 7 in batch:
            raise self.error("seven")
        return list(batch)


@dataclass(frozen=True)
class Threads:
    """Tells how many threads the process was told to use."""

    def setup(self) -> Callable[[Sequence[int]], list[Any]]:
        return lambda batch: [os.environ.get("OMP_NUM_THREADS")] * len(batch)
