"""Python that runs in a process of its own: with other limits, as another user, on another mount."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
OTHER = 65533
PREAMBLE = """
import os, resource, sys
from pathlib import Path
import pyarrow as pa
from mer.errors import MerError
from mer.store.cache import ShardCache
from mer.store.keys import file_digest
from mer.store.upkeep import compact, prune, usage, verify
SCHEMA = pa.schema([pa.field("audio", pa.binary())])
root = Path(sys.argv[1])
def key(number):
    return f"{number:064x}"
def cache():
    return ShardCache(root, "things", SCHEMA)
def add(numbers, size=100):
    with cache().writer() as writer:
        for number in numbers:
            writer.add(key(number), {"audio": bytes([number % 256]) * size})
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or mount")


def run(
    code: str, *arguments: object, user: int | None = None, umask: int = 0o022, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """What the code did, with the cache's folder as its first argument; as another user where one is given."""
    become = f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n" if user is not None else ""
    return subprocess.run(
        [*before, sys.executable, "-c", PREAMBLE + become + f"os.umask({umask})\n" + textwrap.dedent(code)]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def output_of(code: str, *arguments: object, **options: object) -> str:
    done = run(code, *arguments, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout
