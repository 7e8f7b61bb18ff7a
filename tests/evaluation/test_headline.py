"""The headline reads what an evaluation wrote."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mer.errors import MerError
from mer.evaluation.evaluate import evaluate
from mer.evaluation.headline import headline
from mer.params import EvaluateParams


def test_each_part_is_a_line_with_its_interval(make_run, tmp_path):
    run = make_run(groups=8)
    metrics = evaluate(run.predictions, run.clips, run.test_labels, EvaluateParams(bootstrap=100)).metrics
    (tmp_path / "evaluate.json").write_text(json.dumps(metrics))
    out_of_fold, test = headline(tmp_path / "evaluate.json").splitlines()
    value, low, high = (metrics["out_of_fold"][f"weighted_f1{end}"] for end in ("", "_low", "_high"))
    start = f"out of fold weighted-F1 {value:.3f} [{low:.3f}, {high:.3f}]"
    assert out_of_fold == f"{start} (95 % interval, 60 clips in 8 groups)"
    assert test.startswith("test weighted-F1 ")


def test_that_test_clips_were_learned_from_is_said(make_run, tmp_path):
    run = make_run()
    arguments = (run.clips, run.test_labels, EvaluateParams(bootstrap=100))
    before = evaluate(run.predictions, *arguments).metrics
    run.predictions.attrs["transductive_clips"] = 7
    run.predictions.to_parquet(tmp_path / "predictions.parquet")  # files keep it
    metrics = evaluate(pd.read_parquet(tmp_path / "predictions.parquet"), *arguments).metrics
    (tmp_path / "evaluate.json").write_text(json.dumps(metrics))
    *lines, told = headline(tmp_path / "evaluate.json").splitlines()
    assert told == "self-training learned from the features of 7 test clips (transductive)"
    (tmp_path / "evaluate.json").write_text(json.dumps(before))
    assert headline(tmp_path / "evaluate.json").splitlines() == lines


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_what_is_not_an_evaluation_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "evaluate.json").write_text(content)
    with pytest.raises(MerError, match=r"evaluate\.json: "):
        headline(tmp_path / "evaluate.json")
