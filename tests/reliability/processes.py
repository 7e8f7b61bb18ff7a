"""Processes under test: started with a mark that all their children inherit, so that the last of them can be found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DVC = """
import os, subprocess, sys
os.environ["DVC_STAGE"] = "decode"
subprocess.Popen(["/bin/sh", "-c", sys.argv[1] + " || exit 1"]).wait()
"""
"""What DVC does for us: it waits for a shell that runs the stage (`||` keeps the shell from giving its place up)."""


class Marked:
    """A process, and whatever it starts."""

    def __init__(self, *command: object, cwd: Path, **environment: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(REPOSITORY),
                "MER_MARK": self.mark,
                **environment,
            },
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def alive(self) -> dict[int, str]:
        """Process ids and command lines of all that carry the mark and have not ended."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"MER_MARK={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
            except OSError:
                continue
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Leave nothing behind, whatever the test found."""
        for pid in self.alive():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code
