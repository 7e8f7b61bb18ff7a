"""The report's tables come from the outs of the stages before it."""

from __future__ import annotations

import base64
import json

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mer.clips import write_clips, write_labels
from mer.errors import MerError
from mer.evaluation.evaluated import evaluated_clips
from mer.evaluation.report import read_results
from mer.evaluation.report.mistakes import confidently_wrong
from mer.evaluation.report.thumbnail import WIDTH, data_uri
from mer.extraction.transcript_table import SCHEMA
from tests.extraction.making import make_media


def jpeg(shade: int, width: int = 640, height: int = 360) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), shade, np.uint8))[1].tobytes()


@pytest.fixture
def folders(tmp_path, monkeypatch, run, results):
    """`data` and `metrics` as the stages leave them; every clip has three frames, the middle one 50."""
    data, metrics = tmp_path / "data", tmp_path / "metrics"
    (data / "quarantine").mkdir(parents=True)
    (metrics / "plots").mkdir(parents=True)
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    write_clips(data / "clips.parquet", run.clips.rows.assign(sha256=None))
    write_labels(data / "labels.parquet", run.clips)
    texts = [{"clip_id": name, "transcript": f"said {name}", "source": "corpus"} for name in run.clips.rows["clip_id"]]
    pq.write_table(pa.Table.from_pylist([{**of, "words": []} for of in texts], SCHEMA), data / "transcripts.parquet")
    run.predictions.to_parquet(data / "predictions.parquet")
    evaluated_clips(run.predictions, run.clips, run.test_labels).to_parquet(data / "evaluated.parquet")
    results.pseudo_labels.to_parquet(data / "pseudo_labels.parquet")
    results.quarantine.to_parquet(data / "quarantine" / "decode.parquet")
    shown = {"frames": [b"first", b"middle", b"last"], "timestamps": [0.0, 1.0, 2.0]}
    make_media(data, dict.fromkeys(run.clips.rows["clip_id"], shown))
    (metrics / "evaluate.json").write_text(json.dumps(results.metrics))
    (metrics / "views.json").write_text(json.dumps(results.views))
    for name, points in {**results.plots, **results.curves, "rounds": results.rounds}.items():
        points.to_csv(metrics / "plots" / f"{name}.csv", index=False)
    (metrics / "plots" / "self_train.csv").write_text("\n")
    return data, metrics


def test_the_outs_of_the_stages_are_gathered(folders, results):
    read = read_results(results.params, *folders)
    assert read.metrics == results.metrics
    assert read.views == results.views
    assert list(read.curves) == ["pretrain", "self_train"]
    assert read.curves["self_train"].empty
    assert len(read.quarantine) == 1
    assert list(read.mistakes["clip_id"][:4]) == list(results.mistakes["clip_id"])


def test_each_mistake_is_shown_by_its_middle_frame(folders, results):
    read = read_results(results.params, *folders)
    assert read.frames == dict.fromkeys(read.mistakes["clip_id"], b"middle")


def test_the_transcripts_come_along(folders, results):
    mistakes = read_results(results.params, *folders).mistakes
    assert (mistakes["transcript"] == "said " + mistakes["clip_id"]).all()


def test_without_media_or_their_sources_the_page_has_no_pictures(folders, results, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "empty"))
    assert read_results(results.params, *folders).frames == {}
    assert "the page goes without pictures: clip" in capsys.readouterr().out


def test_the_clips_to_explore_are_the_evaluated_and_some_unlabeled_ones(folders, results, run):
    votes = pd.DataFrame({"clip_id": ["clip_000"], "expert": "linear audio", "weight": 1.0, "p_neutral": 1.0})
    votes.to_parquet(folders[0] / "votes.parquet")
    other = run.predictions.assign(predicted="angry")
    read = read_results(results.params, *folders, against=("seed 1", other))
    parts = read.explored.clips["part"].value_counts()
    assert dict(parts) == {"out_of_fold": 90, "test": 30, "unlabeled": 20}
    assert len(read.explored.votes) == 1
    assert (read.explored.clips["was"] == "angry").all()
    assert read.changes.counts["test"]["changed"] == (run.predictions["predicted"][-30:] != "angry").sum()


def test_words_come_with_their_times(folders, results):
    path = folders[0] / "transcripts.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[3]["words"] = [{"text": "good", "start": 0.25, "end": 0.5}]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    assert read_results(results.params, *folders).explored.words == {rows[3]["clip_id"]: [("good", 0.25, 0.5)]}


def test_a_missing_out_is_named(folders, results):
    (folders[1] / "plots" / "calibration.csv").unlink()
    with pytest.raises(MerError, match=r"calibration\.csv: no such file; run the stages before"):
        read_results(results.params, *folders)


def test_mistakes_are_wrong_confident_and_never_from_the_test_split(run):
    mistakes = confidently_wrong(run.predictions, run.clips, count=5)
    assert len(mistakes) == 5
    assert (mistakes["actual"] != mistakes["predicted"]).all()
    assert mistakes["confidence"].is_monotonic_decreasing
    labeled = run.clips.rows[run.clips.rows["split"] == "labeled"]
    assert set(mistakes["clip_id"]) <= set(labeled["clip_id"])
    table = run.predictions.set_index("clip_id").loc[labeled["clip_id"]]
    wrong = table[table["label"] != table["predicted"]]
    assert mistakes["confidence"].iloc[0] == wrong[[c for c in wrong if c.startswith("p_")]].max(axis=1).max()


def test_transcripts_come_with_the_mistakes(run):
    rows = run.clips.rows.assign(transcript="said " + run.clips.rows["clip_id"])
    mistakes = confidently_wrong(run.predictions, type(run.clips)(rows, run.clips.classes))
    assert (mistakes["transcript"] == "said " + mistakes["clip_id"]).all()


@pytest.mark.parametrize(("width", "height", "expected"), [(640, 360, (WIDTH, 135)), (100, 300, (100, 300))])
def test_thumbnails_are_scaled_down_never_up(width, height, expected):
    encoded = base64.b64decode(data_uri(jpeg(50, width, height)).removeprefix("data:image/jpeg;base64,"))
    small = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert (small.shape[1], small.shape[0]) == expected
    assert abs(float(small.mean()) - 50) < 2
