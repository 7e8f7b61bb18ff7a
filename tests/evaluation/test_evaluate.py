"""What an evaluation says follows from predictions and labels, and from nothing else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from mer.errors import MerError
from mer.evaluation.evaluate import evaluate, write_plots
from mer.params import EvaluateParams

PARAMS = EvaluateParams(bootstrap=200)


def run_evaluation(run, **changes):
    values = {"predictions": run.predictions, "clips": run.clips, "test_labels": run.test_labels, **changes}
    return evaluate(**values, params=PARAMS)


def test_out_of_fold_and_test_are_scored_on_their_own_clips(make_run):
    run = make_run()
    metrics = run_evaluation(run).metrics
    labeled = run.predictions[run.predictions["split"] == "labeled"]
    expected = f1_score(labeled["label"], labeled["predicted"], average="weighted")
    assert metrics["out_of_fold"]["weighted_f1"] == pytest.approx(expected, abs=1e-6)
    assert metrics["out_of_fold"]["clips"] == 60
    tested = run.test_labels.merge(run.predictions.drop(columns="label"), on="clip_id")
    expected = f1_score(tested["label"], tested["predicted"], average="weighted")
    assert metrics["test"]["weighted_f1"] == pytest.approx(expected, abs=1e-6)
    assert metrics["test"]["clips"] == 30


def test_the_interval_holds_the_score(make_run):
    values = run_evaluation(make_run()).metrics["out_of_fold"]
    assert values["weighted_f1_low"] < values["weighted_f1"] < values["weighted_f1_high"]


def test_the_metrics_are_plain_json(make_run):
    metrics = run_evaluation(make_run(groups=6)).metrics
    assert json.loads(json.dumps(metrics)) == metrics
    assert all(isinstance(value, int | float) for value in metrics["out_of_fold"].values())  # a table's columns in DVC


def test_groups_are_resampled_where_they_are_known(make_run):
    grouped, ungrouped = make_run(groups=6), make_run()
    assert run_evaluation(grouped).metrics["out_of_fold"]["groups"] == 6
    assert "groups" not in run_evaluation(ungrouped).metrics["out_of_fold"]
    low = [run_evaluation(run).metrics["out_of_fold"]["weighted_f1_low"] for run in (grouped, ungrouped)]
    assert low[0] != low[1]


def test_without_test_labels_there_is_no_test_part_and_an_empty_plot(make_run, tmp_path):
    run = make_run()
    evaluation = run_evaluation(run, test_labels=run.test_labels.iloc[:0])
    assert "test" not in evaluation.metrics
    write_plots(evaluation, tmp_path)
    assert (tmp_path / "confusion_test.csv").read_text() == "actual,predicted\n"
    assert (tmp_path / "per_class_test.csv").read_text() == "class,precision,recall,f1,support\n"


def test_test_labels_may_cover_a_part_of_the_test_split(make_run):
    run = make_run()
    assert run_evaluation(run, test_labels=run.test_labels.iloc[:7]).metrics["test"]["clips"] == 7


def test_labels_in_the_predictions_table_are_not_believed(make_run):
    run = make_run()
    forged = run.predictions.assign(label=run.predictions["predicted"])
    assert run_evaluation(run, predictions=forged).metrics == run_evaluation(run).metrics


def test_the_order_of_the_predictions_does_not_matter(make_run):
    run = make_run()
    shuffled = run.predictions.sample(frac=1, random_state=0)
    assert run_evaluation(run, predictions=shuffled).metrics == run_evaluation(run).metrics


def test_plots_have_one_row_a_clip_in_the_columns_dvc_wants(make_run, tmp_path):
    write_plots(run_evaluation(make_run()), tmp_path / "plots")
    confusion = pd.read_csv(tmp_path / "plots" / "confusion_out_of_fold.csv")
    assert list(confusion.columns) == ["actual", "predicted"]
    assert len(confusion) == 60
    assert len(pd.read_csv(tmp_path / "plots" / "confusion_test.csv")) == 30
    calibration = pd.read_csv(tmp_path / "plots" / "calibration.csv")
    assert list(calibration.columns) == ["confidence", "accuracy", "clips"]
    assert calibration["clips"].sum() == 60


def test_scores_of_each_class_come_in_the_order_of_the_classes(make_run, tmp_path):
    run = make_run()
    write_plots(run_evaluation(run), tmp_path)
    classes = pd.read_csv(tmp_path / "per_class_out_of_fold.csv").set_index("class")
    labeled = run.predictions[run.predictions["split"] == "labeled"]
    expected = f1_score(labeled["label"], labeled["predicted"], average=None, labels=list(run.clips.classes))
    assert list(classes.index) == list(run.clips.classes)
    assert classes["f1"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert classes["support"].sum() == 60


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda table: table.drop(columns="p_angry"), "no column 'p_angry'"),
        (lambda table: table.drop(columns="predicted"), "no column 'predicted'"),
        (lambda table: table.iloc[2:], "no prediction for clip 'clip_000', nor for 1 others"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "clip 'clip_000' is there twice"),
        (lambda table: table.assign(predicted=np.where(table.index == 3, "joy", "angry")), "'joy' is none of"),
    ],
)
def test_predictions_of_another_corpus_are_refused(make_run, break_it, message):
    run = make_run()
    with pytest.raises(MerError, match=f"predictions: {message}"):
        run_evaluation(run, predictions=break_it(run.predictions))
