"""Files that take long come first, so that no worker is left with one at the end (with `--no-loadscope-reorder`)."""

from __future__ import annotations

from pathlib import Path

import pytest

LONG = (
    "reliability/test_view_experiments.py",
    "self_training/test_claims.py",
    "reliability/test_orphans.py",
    "reliability/test_same_bytes.py",
    "compute",
    "encoders/test_weight_coverage.py",
    "self_training",
    "prediction",
    "imported/test_same_model.py",
    "reliability",
    "robustness",
)
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path))  # stable: otherwise the order stays


def rank(path: Path) -> int:
    """The place in `LONG`; what is not there comes after."""
    name = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else path.name
    return next((place for place, start in enumerate(LONG) if name.startswith(start)), len(LONG))
