"""What a finished run leaves behind, gathered for its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from mer.clips import ClipTable, read_labels
from mer.errors import MerError
from mer.evaluation.evaluated import evaluated_clips, test_labels_of
from mer.evaluation.report.changes import Changes, changes_against
from mer.evaluation.report.explored import Explored, Word, choose_clips
from mer.evaluation.report.looks import read_looks
from mer.evaluation.report.mistakes import NO_LABELS, confidently_wrong
from mer.extraction.media import open_media
from mer.extraction.transcript_table import read_transcripts, read_words
from mer.params import Params
from mer.store.quarantine import read_quarantine

PLOTS = (
    "confusion_out_of_fold",
    "confusion_test",
    "per_class_out_of_fold",
    "per_class_test",
    "targets_out_of_fold",
    "targets_test",
    "calibration",
)
NAMES = (
    "actual",
    "predicted",
    "class",
    "clip_id",
    "label",
    "split",
    "group",
    "target",
    "training",
    "condition",
    "kind",
    "family",
)
"""Columns that hold names: nothing guesses their type."""
CURVES = ("pretrain", "self_train")


@dataclass(frozen=True)
class RunResults:
    """What the report shows.

    `metrics` is what an evaluation wrote, `plots` its points. `curves` are training logs with a row an `epoch` or
    `step`, for each model (`fold`, `seed`) where several trained. `rounds` (`fold, round, pseudo_labels`) and
    `pseudo_labels` (`fold, label`) come from self-training. `mistakes` comes from `confidently_wrong`; `frames` maps
    some of its clips to a JPEG. `explored` are the clips that can be looked at one by one, `changes` what changed
    against another run.
    """

    params: Params
    clips: ClipTable
    metrics: Mapping[str, Any]
    plots: Mapping[str, pd.DataFrame]
    curves: Mapping[str, pd.DataFrame]
    rounds: pd.DataFrame
    pseudo_labels: pd.DataFrame
    mistakes: pd.DataFrame
    frames: Mapping[str, bytes]
    quarantine: pd.DataFrame
    explored: Explored | None = None
    changes: Changes | None = None
    robustness: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row a training and condition; none where the stage was off."""
    views: Mapping[str, Any] = field(default_factory=dict)
    """What `rank_views` wrote."""


def read_results(
    params: Params,
    data: str | Path = "data",
    metrics: str | Path = "metrics",
    against: tuple[str, pd.DataFrame] | None = None,
) -> RunResults:
    """Read the outs of the stages before the report.

    Args:
        against: name and predictions of another run, to say what changed.

    Raises:
        MerError: an out is missing, or the other run is not of these clips.
    """
    data, metrics = Path(data), Path(metrics)
    try:
        clips = read_labels(data / "labels.parquet")
        texts = read_transcripts(data / "transcripts.parquet")
        clips = replace(clips, rows=clips.rows.assign(transcript=clips.rows["clip_id"].map(texts)))
        predictions = pd.read_parquet(data / "predictions.parquet")
        evaluated = _evaluated(data / "evaluated.parquet", predictions, clips)
        mistakes = confidently_wrong(predictions, clips)
        changes = None
        if against is not None:
            known = test_labels_of(evaluated)
            changes = changes_against(*against, predictions, clips, known, params.evaluate)
        rows, left_out = choose_clips(evaluated, predictions, clips)
        if against is not None:
            rows["was"] = rows["clip_id"].map(against[1].set_index("clip_id")["predicted"])
        return RunResults(
            params=params,
            clips=clips,
            metrics=json.loads((metrics / "evaluate.json").read_text(encoding="utf-8")),
            plots=_read_plots(metrics / "plots", PLOTS),
            curves=_read_plots(metrics / "plots", CURVES),
            rounds=_read_points(metrics / "plots" / "rounds.csv"),
            pseudo_labels=pd.read_parquet(data / "pseudo_labels.parquet"),
            mistakes=mistakes,
            frames=_middle_frames(params, data, list(mistakes["clip_id"])),
            quarantine=read_quarantine(data / "quarantine"),
            explored=_explored(params, data, rows, left_out) if clips.classes else None,
            changes=changes,
            robustness=_read_if_there(metrics / "plots" / "robustness.csv"),
            views=json.loads((metrics / "views.json").read_text(encoding="utf-8")),
        )
    except FileNotFoundError as error:
        raise MerError(f"{error.filename}: no such file; run the stages before the report") from None


def _explored(params: Params, data: Path, rows: pd.DataFrame, left_out: Mapping[str, int]) -> Explored:
    clip_ids = list(rows["clip_id"])
    words: dict[str, list[Word]] = read_words(data / "transcripts.parquet", clip_ids)
    votes, history = (_of_clips(data / f"{name}.parquet", clip_ids) for name in ("votes", "pseudo_label_history"))
    return Explored(rows, words, votes, history, read_looks(params, data, clip_ids), left_out)


def _of_clips(path: Path, clip_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of some clips; none, with a line, where an earlier version trained and wrote no such table."""
    if not path.is_file():
        print(f"{path}: not there; clips are shown without it", flush=True)
        return pd.DataFrame()
    if pq.read_metadata(path).num_rows == 0:  # whose columns have no types, and so cannot be compared
        return pd.read_parquet(path)
    return pd.read_parquet(path, filters=[("clip_id", "in", list(clip_ids))])


def _evaluated(path: Path, predictions: pd.DataFrame, clips: ClipTable) -> pd.DataFrame:
    """What evaluation wrote; labels of the test split come from there and nowhere else."""
    if not path.is_file():
        print(f"{path}: not there; no test clip is shown", flush=True)
        return evaluated_clips(predictions, clips, NO_LABELS)
    return pd.read_parquet(path)


def _read_plots(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    return {name: _read_points(folder / f"{name}.csv") for name in names}


def _read_if_there(path: Path) -> pd.DataFrame:
    """Plot points that a run of an earlier version has not."""
    return _read_points(path) if path.exists() else pd.DataFrame()


def _read_points(path: Path) -> pd.DataFrame:
    """Plot points; a class called `00`, `NA`, `None` or `True` keeps its name."""
    try:
        points = pd.read_csv(path, dtype=str, na_filter=False)
        for name in points.columns.difference(list(NAMES)):
            points[name] = pd.to_numeric(points[name], errors="coerce")
        return points
    except pd.errors.EmptyDataError:
        return pd.DataFrame()  # a stage with nothing to log, such as a model that is not pretrained


def _middle_frames(params: Params, data: Path, clip_ids: Sequence[str]) -> dict[str, bytes]:
    """The frame in the middle of each clip that has any; of clips that can no longer be decoded, none."""
    try:
        records = list(open_media(params, data).records(clip_ids, ["frames"]))
    except (MerError, OSError) as error:
        print(f"the page goes without pictures: {error}", flush=True)
        return {}
    return {record.clip_id: record.frames[len(record.frames) // 2] for record in records if record.frames}
