"""What a finished run leaves behind, gathered for its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mer.clips import ClipTable, read_labels
from mer.errors import MerError
from mer.evaluation.report.mistakes import confidently_wrong
from mer.extraction.media import open_media
from mer.extraction.transcript_table import read_transcripts
from mer.params import Params
from mer.store.quarantine import read_quarantine

PLOTS = ("confusion_out_of_fold", "confusion_test", "per_class_out_of_fold", "per_class_test", "calibration")
NAMES = ("actual", "predicted", "class", "clip_id", "label", "split", "group")
"""Columns that hold names: nothing guesses their type."""
CURVES = ("pretrain", "self_train")


@dataclass(frozen=True)
class RunResults:
    """What the report shows.

    `metrics` is what an evaluation wrote, `plots` its points. `curves` are training logs with a row an `epoch` or
    `step`, for each model (`fold`, `seed`) where several trained. `rounds` (`fold, round, pseudo_labels`) and
    `pseudo_labels` (`fold, label`) come from self-training. `mistakes` comes from `confidently_wrong`; `frames` maps
    some of its clips to a JPEG.
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
    views: Mapping[str, Any] = field(default_factory=dict)
    """What `rank_views` wrote."""


def read_results(params: Params, data: str | Path = "data", metrics: str | Path = "metrics") -> RunResults:
    """Read the outs of the stages before the report.

    Raises:
        MerError: an out is missing.
    """
    data, metrics = Path(data), Path(metrics)
    try:
        clips = read_labels(data / "labels.parquet")
        texts = read_transcripts(data / "transcripts.parquet")
        clips = replace(clips, rows=clips.rows.assign(transcript=clips.rows["clip_id"].map(texts)))
        mistakes = confidently_wrong(pd.read_parquet(data / "predictions.parquet"), clips)
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
            views=json.loads((metrics / "views.json").read_text(encoding="utf-8")),
        )
    except FileNotFoundError as error:
        raise MerError(f"{error.filename}: no such file; run the stages before the report") from None


def _read_plots(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    return {name: _read_points(folder / f"{name}.csv") for name in names}


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
