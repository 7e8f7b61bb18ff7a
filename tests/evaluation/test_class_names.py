"""Class names that look like something else keep their names in the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mer.evaluation.report.results import _read_points


@pytest.mark.parametrize(
    "classes",
    [["0", "1", "2"], ["00", "01"], ["-1.0", "1.0"],
     ["NA", "None", "nan", "null", ""], ["True", "False"], ["1e3", "0x1"],
     ["2026-11-27", "inf"], ["中性", "#N/A"], ["a,b", 'c"d'], [" x", "x "]],
)  # fmt: skip
def test_a_class_keeps_its_name(tmp_path: Path, classes: list[str]) -> None:
    rows = pd.DataFrame({"actual": classes, "predicted": classes[::-1], "f1": [0.5] * len(classes)})
    rows.to_csv(tmp_path / "points.csv", index=False)
    points = _read_points(tmp_path / "points.csv")
    assert list(points["actual"]) == classes
    assert list(points["predicted"]) == classes[::-1]
    assert points["f1"].sum() == 0.5 * len(classes)


def test_numbers_are_numbers_and_gaps_are_gaps(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("epoch,loss,class\n1,0.5,1\n2,,2\n3,nan,3\n")
    points = _read_points(tmp_path / "points.csv")
    assert points["loss"].isna().tolist() == [False, True, True]
    assert points["epoch"].dtype == int
    assert list(points["class"]) == ["1", "2", "3"]
