"""A worker that is always at work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sleeps:
    """Notes in `folder` that it has begun, and takes long."""

    folder: str

    def setup(self) -> Callable[[Sequence[int]], list[int]]:
        return self._work

    def _work(self, batch: Sequence[int]) -> list[int]:
        Path(self.folder, f"working-{os.getpid()}").touch()
        time.sleep(60)
        return list(batch)
