"""The submission holds the clips that a challenge asks for, in corpus order."""

from __future__ import annotations

import pytest

from mer.errors import MerError
from mer.evaluation.submission import submission


def test_test_clips_are_submitted_in_corpus_order(make_run):
    run = make_run()
    table = submission(run.predictions.sample(frac=1, random_state=0), run.clips)
    assert list(table.columns) == ["name", "discrete"]
    assert list(table["name"]) == list(run.clips.rows.loc[run.clips.rows["split"] == "test", "clip_id"])
    expected = run.predictions.set_index("clip_id")["predicted"]
    assert list(table["discrete"]) == list(expected[table["name"]])


def test_without_a_test_split_the_unlabeled_clips_are_submitted(make_run):
    run = make_run(test=0)
    assert len(submission(run.predictions, run.clips)) == 20


def test_without_either_the_submission_is_empty(make_run):
    run = make_run(unlabeled=0, test=0)
    assert submission(run.predictions, run.clips).empty


def test_a_clip_without_a_prediction_is_named(make_run):
    run = make_run()
    with pytest.raises(MerError, match="no prediction for clip 'clip_109'"):
        submission(run.predictions.iloc[:-1], run.clips)
