"""A per-clip step whose workers fare badly: importable by other processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

SCHEMA = pa.schema([pa.field("value", pa.string())])


@dataclass(frozen=True)
class Upper:
    """Writes a text in capitals; `harm` says what befalls it, each time or the first time, on texts with a 'x'."""

    folder: str
    harm: str = ""
    once: bool = False

    def setup(self) -> Callable[[Sequence[str]], list[Any]]:
        return self._work

    def _work(self, batch: Sequence[str]) -> list[Any]:
        for text in batch:
            with open(Path(self.folder, "worked"), "a") as file:
                file.write(f"{text}\n")
            if "x" in text and self.harm and self._strikes():
                if self.harm == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise {"no memory": MemoryError(), "no space": OSError(28, "No space left on device")}[self.harm]
        return [{"value": text.upper()} for text in batch]

    def _strikes(self) -> bool:
        if not self.once:
            return True
        try:
            Path(self.folder, "struck").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True)
class Doomed:
    """Every process dies of whatever it is given."""

    def setup(self) -> Callable[[Sequence[str]], list[Any]]:
        return lambda batch: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[return-value]


@dataclass(frozen=True)
class Unready:
    """No process gets as far as its first clip: the machine cannot hold the model."""

    def setup(self) -> Callable[[Sequence[str]], list[Any]]:
        raise MemoryError
