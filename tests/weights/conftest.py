"""Encoder folders where they have been fetched, and digests remembered in a cache of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def encoders():
    """A function from a name to its folder; skips where `make encoders` has not run."""
    root = Path(os.environ.get("MER_ENCODERS", Path(__file__).parents[2] / "encoders"))

    def folder(name: str) -> Path:
        if not (root / name / "provenance.yaml").is_file():
            pytest.skip(f"no {root / name}: make encoders, or MER_ENCODERS names another folder")
        return root / name

    return folder
