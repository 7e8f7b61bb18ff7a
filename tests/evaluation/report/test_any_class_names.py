"""Classes called like numbers, dates or nothing are counted like any others, from predictions to the page."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from mer.clips import ClipTable
from mer.evaluation.evaluate import evaluate, write_plots
from mer.evaluation.report import sections
from mer.evaluation.report.results import _read_points
from mer.params import EvaluateParams
from tests.evaluation.conftest import CLASSES

ROOT = Path(__file__).parents[3]
SHARE = re.compile(r"(\d+)\s*%")
NAMES = [
    *(("0", "1", "2"), ("00", "01", "1"), ("-1.0", "-1", "1e0"), ("NA", "None", "nan"), ("True", "False", "null")),
    *(("2026-11-27", "inf", "0x1"), ("N/A", "#N/A", "NaN"), ("1,0", '"', "a b")),
]


def renamed(run, names):
    """The same run with its classes called otherwise."""
    new = dict(zip(CLASSES, names, strict=True))
    predictions = run.predictions.rename(columns={f"p_{name}": f"p_{new[name]}" for name in CLASSES})
    predictions["predicted"], predictions["label"] = predictions["predicted"].map(new), predictions["label"].map(new)
    rows = run.clips.rows.assign(label=run.clips.rows["label"].map(new))
    labels = run.test_labels.assign(label=run.test_labels["label"].map(new))
    return predictions, ClipTable(rows, tuple(names)), labels


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_the_confusion_is_the_same_under_any_names(make_run, tmp_path, names):
    run, params = make_run(labeled=90), EvaluateParams(bootstrap=100)
    plain = evaluate(run.predictions, run.clips, run.test_labels, params)
    found = evaluate(*renamed(run, names), params)
    assert found.metrics == plain.metrics
    write_plots(found, tmp_path)
    points = {path.stem: _read_points(path) for path in tmp_path.glob("*.csv")}
    new = dict(zip(CLASSES, names, strict=True))
    for part in ("confusion_out_of_fold", "confusion_test"):
        expected = plain.plots[part].map(new.get)
        assert points[part].equals(expected.astype(points[part].dtypes.to_dict()))
    page, usual = (str(sections.confusion(plots, order)) for plots, order in ((points, names), (plain.plots, CLASSES)))
    assert sorted(SHARE.findall(page)) == sorted(SHARE.findall(usual))
    assert sum(map(int, SHARE.findall(usual))) > 0
    assert str(sections.per_class(points)).count("1.00") == str(sections.per_class(plain.plots)).count("1.00")


def test_no_csv_is_read_with_guesses():
    """Every `read_csv` of ours says that cells are text."""
    for folder in ("mer", "stages", "benchmarks", "adapt", "sample"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in re.findall(r"read_csv\((?:[^()]|\([^()]*\))*\)", path.read_text(encoding="utf-8")):
                assert "dtype=str" in call, (path, call)
                assert "keep_default_na=False" in call or "na_filter=False" in call, (path, call)


def test_predictions_that_are_no_numbers_are_refused(make_run):
    from mer.errors import MerError

    run = make_run()
    predictions = run.predictions.copy()
    predictions.loc[3, "p_angry"] = float("nan")
    with pytest.raises(MerError, match="'clip_003' has probabilities that are no numbers"):
        evaluate(predictions, run.clips, run.test_labels, EvaluateParams(bootstrap=100))


def test_a_table_of_nothing_is_a_table(tmp_path):
    (tmp_path / "points.csv").write_text("actual,predicted\n")
    assert isinstance(_read_points(tmp_path / "points.csv"), pd.DataFrame)
