"""Evaluate a run: scores with intervals, and the points of its plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.bootstrap import bootstrap_interval
from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.evaluation.metrics import ClassScores, Scores, score
from mer.evaluation.scored import PARTS, scored_clips
from mer.params import EvaluateParams

DIGITS = 6


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is what metrics/evaluate.json holds; `plots` maps a plot's name to its points."""

    metrics: dict[str, Any]
    plots: dict[str, pd.DataFrame]


def evaluate(
    predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame, params: EvaluateParams
) -> Evaluation:
    """Score the out-of-fold predictions, and those of the test split as far as its labels are known.

    Intervals are resampled by group where the corpus knows groups. The plots are, for `out_of_fold` and `test`,
    `confusion_<part>` (`actual, predicted`: one row a clip) and `per_class_<part>` (`class, precision, recall, f1,
    support`), without rows where test labels are unknown; and `calibration` (of the out-of-fold predictions).

    Raises:
        MerError: predictions and clips do not belong together.
    """
    parts = scored_clips(predictions, clips, test_labels)
    scores = {part: score(rows["actual"], rows["predicted"], clips.classes) for part, rows in parts.items()}
    metrics: dict[str, Any] = {"confidence_level": params.confidence}
    metrics |= {part: _part_metrics(rows, scores[part], clips.classes, params) for part, rows in parts.items()}
    nothing = parts["out_of_fold"].iloc[:0]
    plots = {}
    for part in PARTS:
        plots[f"confusion_{part}"] = parts.get(part, nothing)[["actual", "predicted"]]
        plots[f"per_class_{part}"] = _per_class(scores[part].per_class if part in scores else {})
    plots["calibration"] = _bins(parts["out_of_fold"])
    return Evaluation(metrics, plots)


def write_plots(evaluation: Evaluation, folder: str | Path) -> None:
    """Write the points of each plot to `<folder>/<name>.csv`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, points in evaluation.plots.items():
        points.to_csv(Path(folder) / f"{name}.csv", index=False, float_format=f"%.{DIGITS}f", lineterminator="\n")


def _part_metrics(
    rows: pd.DataFrame, scores: Scores, classes: tuple[str, ...], params: EvaluateParams
) -> dict[str, Any]:
    grouped = rows["group"].notna().any()
    interval = bootstrap_interval(
        rows["actual"],
        rows["predicted"],
        classes,
        groups=rows["group"] if grouped else None,
        repeats=params.bootstrap,
        confidence=params.confidence,
        seed=params.seed,
    )
    values: dict[str, Any] = {
        "weighted_f1": scores.weighted_f1,
        "weighted_f1_low": interval.low,
        "weighted_f1_high": interval.high,
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "ece": expected_calibration_error(_bins(rows)),
        "clips": scores.clips,
    }
    if grouped:
        values["groups"] = rows["group"].nunique()
    return {key: round(value, DIGITS) if isinstance(value, float) else value for key, value in values.items()}


def _per_class(per_class: Mapping[str, ClassScores]) -> pd.DataFrame:
    columns = ["class", *(field.name for field in fields(ClassScores))]
    return pd.DataFrame([{"class": name, **asdict(rates)} for name, rates in per_class.items()], columns=columns)


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    return calibration_bins(rows["confidence"].to_numpy(float), (rows["actual"] == rows["predicted"]).to_numpy(bool))
