"""Evaluate a run: scores with intervals, and the points of its plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.clips.tables import TRANSDUCTIVE
from mer.evaluation.bootstrap import bootstrap_interval, bootstrap_sums, percentile_interval
from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.evaluation.metrics import ClassScores, Scores, score
from mer.evaluation.scored import PARTS, scored_clips, scored_targets
from mer.evaluation.sentiment import sentiment_scores
from mer.evaluation.target_metrics import METRICS, moments
from mer.params import EvaluateParams

DIGITS = 6
CHALLENGE, CHALLENGE_WEIGHT = "valence", 0.25
"""MER2023's score of labels and valence together: weighted-F1 less a quarter of valence's squared error."""


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is what metrics/evaluate.json holds; `plots` maps a plot's name to its points."""

    metrics: dict[str, Any]
    plots: dict[str, pd.DataFrame]


def evaluate(
    predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame, params: EvaluateParams
) -> Evaluation:
    """Score the out-of-fold predictions, and those of the test split as far as its labels are known.

    Targets are scored beside the classes, or alone where the corpus has none: scores are named `<target>_<score>`. With
    classes and valence there is the challenge's F1 - 0.25 MSE. A corpus of two classes has MMSA's Acc-2 and F1.

    Intervals are resampled by group where the corpus knows groups. The plots are, for `out_of_fold` and `test`,
    `confusion_<part>` (`actual, predicted`: one row a clip) and `per_class_<part>` (`class, precision, recall, f1,
    support`), without rows where test labels are unknown, and `targets_<part>` (`target, value, estimate`); and
    `calibration` (of the out-of-fold predictions). Metrics say, too, how many test clips self-training learned from,
    if any (`transductive_clips`).

    Raises:
        MerError: predictions and clips do not belong together.
    """
    parts = scored_clips(predictions, clips, test_labels)
    numbers = scored_targets(predictions, clips, test_labels)
    scores = {part: score(rows["actual"], rows["predicted"], clips.classes) for part, rows in parts.items()}
    metrics: dict[str, Any] = {"confidence_level": params.confidence}
    if learned_from := predictions.attrs.get(TRANSDUCTIVE):
        metrics[TRANSDUCTIVE] = learned_from
    for part in PARTS:
        found: dict[str, Any] = {}
        if part in parts:
            found |= _part_metrics(parts[part], scores[part], clips.classes, params)
        for name, rows in numbers.get(part, {}).items():
            found |= target_metrics(name, rows, params)
        if part in parts and CHALLENGE in numbers.get(part, {}):
            mse = found[f"{CHALLENGE}_mse"]
            found["f1_minus_mse"] = round(found["weighted_f1"] - CHALLENGE_WEIGHT * mse, DIGITS)
        if found:
            metrics[part] = found
    nothing = pd.DataFrame(columns=["actual", "predicted", "confidence"])
    plots = {}
    for part in PARTS:
        plots[f"targets_{part}"] = _points(numbers.get(part, {}))
        plots[f"confusion_{part}"] = parts.get(part, nothing)[["actual", "predicted"]]
        plots[f"per_class_{part}"] = _per_class(scores[part].per_class if part in scores else {})
    plots["calibration"] = _bins(parts.get("out_of_fold", nothing))
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
        "uar": scores.uar,
        "ece": expected_calibration_error(_bins(rows)),
        "clips": scores.clips,
    }
    if len(classes) == 2:
        values |= {"acc_2": scores.accuracy, "f1": scores.weighted_f1}
    if grouped:
        values["groups"] = rows["group"].nunique()
    return _rounded(values)


def target_metrics(name: str, rows: pd.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """Scores of a target's clips (`group, actual, predicted, low, high`), each named `<name>_<score>`.

    MAE, MSE, Pearson and CCC with their bootstrap intervals, by group where groups are known; what sentiment analysis
    reports; the share of clips that the predicted intervals cover, and the width of these.
    """
    actual, predicted = (rows[column].to_numpy(float) for column in ("actual", "predicted"))
    groups = rows["group"] if rows["group"].notna().any() else None
    whole, drawn = bootstrap_sums(moments(actual, predicted), groups=groups, repeats=params.bootstrap, seed=params.seed)
    values: dict[str, Any] = {}
    for score_name, metric in METRICS.items():
        interval = percentile_interval(metric(whole), metric(drawn), params.confidence)
        ends = {"": interval.value, "_low": interval.low, "_high": interval.high}
        values |= {f"{score_name}{end}": value for end, value in ends.items()}
    values |= sentiment_scores(actual, predicted)
    values["coverage"] = float(((rows["low"] <= actual) & (actual <= rows["high"])).mean())
    width = float((rows["high"] - rows["low"]).mean())
    if np.isfinite(width):
        values["width"] = width
    values["clips"] = len(rows)
    return {f"{name}_{key}": value for key, value in _rounded(values).items()}


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(value, DIGITS) if isinstance(value, float) else value for key, value in values.items()}


def _points(targets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    tables = [
        pd.DataFrame({"target": name, "value": rows["actual"], "estimate": rows["predicted"]})
        for name, rows in targets.items()
    ]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["target", "value", "estimate"])


def _per_class(per_class: Mapping[str, ClassScores]) -> pd.DataFrame:
    columns = ["class", *(field.name for field in fields(ClassScores))]
    return pd.DataFrame([{"class": name, **asdict(rates)} for name, rates in per_class.items()], columns=columns)


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    return calibration_bins(rows["confidence"].to_numpy(float), (rows["actual"] == rows["predicted"]).to_numpy(bool))
