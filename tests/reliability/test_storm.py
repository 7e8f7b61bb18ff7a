"""A short storm; `make reliability` runs a long one."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.storm import storm


def test_no_row_is_lost_in_a_storm(tmp_path: Path) -> None:
    result = storm(processes=4, seconds=10, root=tmp_path / "cache")
    assert result.errors == []
    assert result.lost == 0
    assert result.rows > 0
