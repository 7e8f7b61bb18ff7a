"""Targets are scored beside classes or alone, on the clips that have them, and shown wherever classes are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error, mean_squared_error

from mer.clips import ClipTable
from mer.errors import MerError
from mer.evaluation.evaluate import evaluate, write_plots
from mer.evaluation.headline import headline
from mer.evaluation.report.targets import sections
from mer.params import EvaluateParams

PARAMS = EvaluateParams(bootstrap=200)


def with_target(run, name="valence", *, scale=3.0, seed=1):
    """The run with a target on both splits, every fifth clip without it, and predictions of it."""
    rng = np.random.default_rng(seed)
    true = np.clip(rng.normal(size=len(run.clips.rows)), -1, 1) * scale
    true[::5] = np.nan
    rows, splits = run.clips.rows, run.clips.rows["split"]
    guess = np.nan_to_num(true) + 0.5 * rng.normal(size=len(rows))
    columns = {f"t_{name}": guess, f"t_{name}_low": guess - 0.8, f"t_{name}_high": guess + 0.8}
    clips = replace(run.clips, rows=rows.assign(**{f"target_{name}": np.where(splits == "labeled", true, np.nan)}))
    own = pd.Series(true, index=rows["clip_id"])
    tested = run.test_labels.assign(**{f"target_{name}": own[run.test_labels["clip_id"]].to_numpy()})
    return replace(run, clips=clips, test_labels=tested, predictions=run.predictions.assign(**columns)), own


def scored(run, **changes):
    values = {"predictions": run.predictions, "clips": run.clips, "test_labels": run.test_labels, **changes}
    return evaluate(**values, params=PARAMS)


def of_part(run, true, split):
    rows = run.predictions[run.predictions["split"] == split].set_index("clip_id")
    known = true[rows.index].dropna()
    return known.to_numpy(), rows.loc[known.index]


@pytest.mark.parametrize(("part", "split"), [("out_of_fold", "labeled"), ("test", "test")])
def test_scores_are_those_of_the_clips_that_have_the_target(make_run, part, split):
    run, true = with_target(make_run(groups=7))
    values = scored(run).metrics[part]
    actual, rows = of_part(run, true, split)
    predicted = rows["t_valence"].to_numpy()
    assert values["valence_clips"] == len(actual) < len(run.predictions[run.predictions["split"] == split])
    assert values["valence_mae"] == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-6)
    assert values["valence_mse"] == pytest.approx(mean_squared_error(actual, predicted), abs=1e-6)
    assert values["valence_pearson"] == pytest.approx(pearsonr(actual, predicted).statistic, abs=1e-6)
    assert values["valence_mae_low"] < values["valence_mae"] < values["valence_mae_high"]
    inside = (rows["t_valence_low"] <= actual) & (actual <= rows["t_valence_high"])
    assert values["valence_coverage"] == pytest.approx(inside.mean(), abs=1e-6)
    assert values["f1_minus_mse"] == pytest.approx(values["weighted_f1"] - 0.25 * values["valence_mse"], abs=1e-5)
    assert {"valence_has0_acc_2", "valence_non0_f1", "valence_acc_7"} <= set(values)
    assert json.loads(json.dumps(values)) == values


def test_without_valence_there_is_no_challenge_score(make_run):
    run, _ = with_target(make_run(), "enjoyment")
    values = scored(run).metrics["out_of_fold"]
    assert "f1_minus_mse" not in values
    assert "enjoyment_mae" in values


def test_a_target_absent_in_test_is_scored_out_of_fold_alone(make_run):
    run, _ = with_target(make_run())
    metrics = scored(run, test_labels=run.test_labels[["clip_id", "label"]]).metrics
    assert "valence_mae" in metrics["out_of_fold"]
    assert "valence_mae" not in metrics["test"]
    assert "weighted_f1" in metrics["test"]


def test_targets_alone_are_scored_without_classes(make_run, tmp_path, capsys):
    run, _ = with_target(make_run())
    rows = run.clips.rows.assign(label=None)
    blank = run.predictions.drop(columns=[f"p_{name}" for name in run.clips.classes]).assign(predicted=None)
    tested = run.test_labels.assign(label=None)
    evaluation = scored(run, clips=ClipTable(rows, ()), predictions=blank, test_labels=tested)
    values = evaluation.metrics["out_of_fold"]
    assert "weighted_f1" not in values
    assert "f1_minus_mse" not in values
    assert values["valence_mae"] > 0
    write_plots(evaluation, tmp_path)
    assert (tmp_path / "targets_test.csv").read_text().startswith("target,value,estimate\nvalence,")
    (tmp_path / "evaluate.json").write_text(json.dumps(evaluation.metrics))
    [line, test] = headline(tmp_path / "evaluate.json").splitlines()
    assert line.startswith(f"out of fold valence MAE {values['valence_mae']:.3f} [")
    assert test.startswith("test valence")


def test_clips_without_a_label_are_left_out_of_the_classes_scores(make_run):
    run, _ = with_target(make_run())
    rows = run.clips.rows.copy()
    rows.loc[:9, "label"] = None
    metrics = scored(run, clips=replace(run.clips, rows=rows)).metrics["out_of_fold"]
    assert metrics["clips"] == 50
    assert metrics["valence_clips"] == 48


def test_the_page_has_a_section_on_targets_and_none_without(make_run):
    run, _ = with_target(make_run())
    evaluation = scored(run)
    [section] = sections(evaluation.metrics, evaluation.plots)
    for text in ("<h2>Targets</h2>", "Acc-2 (without)", "weighted-F1 - 0.25 MSE", "valence, test split"):
        assert text in section
    plain = scored(make_run())
    assert not list(sections(plain.metrics, plain.plots))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="t_valence_low"), "no column 't_valence_low'"),
        (lambda table: table.assign(t_valence=np.where(table.index == 3, np.nan, 0)), "'valence' for clip 'clip_003'"),
        (lambda table: table.assign(t_valence=np.where(table.index == 3, np.inf, 0)), "'valence' for clip 'clip_003'"),
    ],
)
def test_predictions_that_are_no_numbers_are_refused(make_run, change, message):
    run, _ = with_target(make_run())
    with pytest.raises(MerError, match=message):
        scored(run, predictions=change(run.predictions))


def test_classes_have_their_mean_recall_and_two_of_them_mmsas_names(make_run):
    run = make_run()
    values = scored(run).metrics["out_of_fold"]
    labeled = run.predictions[run.predictions["split"] == "labeled"]
    assert values["uar"] == pytest.approx(balanced_accuracy_score(labeled["label"], labeled["predicted"]), abs=1e-6)
    assert "acc_2" not in values
    two = ClipTable(run.clips.rows.replace({"label": {"neutral": "angry"}}), ("angry", "happy"))
    predictions = run.predictions.replace({"predicted": {"neutral": "angry"}}).drop(columns="p_neutral")
    nothing = run.test_labels.iloc[:0]
    values = scored(run, clips=two, predictions=predictions, test_labels=nothing).metrics["out_of_fold"]
    assert (values["acc_2"], values["f1"]) == (values["accuracy"], values["weighted_f1"])
