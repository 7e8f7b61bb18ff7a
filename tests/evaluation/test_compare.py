"""Two runs are compared on the same clips, in a line that a human understands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mer.errors import MerError
from mer.evaluation.bootstrap import Interval
from mer.evaluation.compare import Comparison, compare
from mer.params import EvaluateParams

PARAMS = EvaluateParams(bootstrap=500)


def perfect(run):
    """Predictions that are right wherever the label is known."""
    truth = run.predictions["label"].copy()
    truth.loc[truth.isna()] = run.predictions["clip_id"].map(run.test_labels.set_index("clip_id")["label"])
    return run.predictions.assign(predicted=truth.fillna(run.predictions["predicted"]))


def test_a_better_run_is_called_better_on_both_parts(make_run):
    run = make_run()
    out_of_fold, test = compare([run.predictions], [perfect(run)], run.clips, run.test_labels, PARAMS)
    assert (out_of_fold.part, out_of_fold.clips, test.part, test.clips) == ("out_of_fold", 60, "test", 30)
    assert out_of_fold.difference.low > 0
    assert str(out_of_fold).endswith("B is better")
    (reverse, _) = compare([perfect(run)], [run.predictions], run.clips, run.test_labels, PARAMS)
    assert str(reverse).endswith("A is better")


def test_equal_runs_show_no_difference(make_run):
    run = make_run()
    for comparison in compare([run.predictions], [run.predictions], run.clips, run.test_labels, PARAMS):
        assert str(comparison).endswith("no evidence of a difference")


def test_without_test_labels_only_out_of_fold_is_compared(make_run):
    run = make_run()
    compared = compare([run.predictions], [run.predictions], run.clips, run.test_labels.iloc[:0], PARAMS)
    assert [comparison.part for comparison in compared] == ["out_of_fold"]


def test_the_line_says_what_was_measured_and_how():
    comparison = Comparison("out_of_fold", Interval(0.021, -0.004, 0.047), 0.95, 300)
    assert str(comparison) == (
        "out of fold: B - A = +0.021 [-0.004, +0.047] (95 % paired bootstrap, 300 clips): no evidence of a difference"
    )


def test_scores_of_clips_that_a_side_learned_from_are_told_as_such(make_run):
    run = make_run()
    learned = run.predictions.copy()
    learned.attrs["transductive_clips"] = 7
    (out_of_fold, test) = compare([run.predictions], [learned], run.clips, run.test_labels, PARAMS)
    assert str(test).endswith("no evidence of a difference; B learned from these clips' features (transductive)")
    assert "transductive" not in str(out_of_fold)


@pytest.mark.parametrize(("groups", "verdict"), [(1, "1 group: too few to tell"), (5, "5 groups: too few to tell")])
def test_few_speakers_prove_nothing(make_run, groups, verdict):
    run = make_run()
    few = run.clips.rows.assign(group=[f"speaker{row % groups}" for row in range(len(run.clips.rows))])
    clips = replace(run.clips, rows=few)
    (out_of_fold, _) = compare([run.predictions], [perfect(run)], clips, run.test_labels, PARAMS)
    assert out_of_fold.groups == groups
    assert str(out_of_fold).endswith(verdict)
    many = replace(clips, rows=few.assign(group=[f"speaker{row % 6}" for row in range(len(few))]))
    assert str(compare([run.predictions], [perfect(run)], many, run.test_labels, PARAMS)[0]).endswith("B is better")


def test_predictions_of_other_clips_are_refused(make_run):
    run = make_run()
    with pytest.raises(MerError, match="no prediction for clip 'clip_000'"):
        compare([run.predictions], [run.predictions.iloc[5:]], run.clips, run.test_labels, PARAMS)


def test_several_runs_a_side_are_compared_by_their_means(make_run):
    run = make_run()
    better = perfect(run)
    runs_b = [better, run.predictions, better]
    (mixed, _) = compare([run.predictions], runs_b, run.clips, run.test_labels, PARAMS)
    (whole, _) = compare([run.predictions], [better], run.clips, run.test_labels, PARAMS)
    assert mixed.difference.value == pytest.approx(whole.difference.value * 2 / 3)
    assert "60 clips, 1 and 3 runs" in str(mixed)
