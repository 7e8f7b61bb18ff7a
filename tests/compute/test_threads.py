"""Threads that wait for each other sleep: spinning would keep a core from whoever they wait for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def openmp_says(**environment: str) -> str:
    """What OpenMP tells of itself where a stage's imports have loaded it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", "import stages.pretrain"],
        env={**clean, "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_waiting_threads_sleep() -> None:
    told = openmp_says()
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("torch brings another OpenMP than GNU's")
    assert "GOMP_SPINCOUNT = '0'" in told


def test_who_says_otherwise_is_heard() -> None:
    told = openmp_says(OMP_WAIT_POLICY="active")
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("torch brings another OpenMP than GNU's")
    assert "GOMP_SPINCOUNT = '0'" not in told
