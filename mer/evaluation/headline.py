"""The one thing to read after a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mer.clips.tables import TRANSDUCTIVE
from mer.errors import MerError
from mer.evaluation.scored import PARTS


def headline(path: str | Path) -> str:
    """A line for each part of metrics/evaluate.json: weighted-F1 with its interval; and one for each target.

    Raises:
        MerError: the file is missing or was not written by an evaluation.
    """
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
        level = metrics["confidence_level"]
        lines = [line for part in PARTS if part in metrics for line in _lines(part, metrics[part], level)]
        if told := transductive(metrics):
            lines.append(told)
        return "\n".join(lines)
    except OSError as error:
        raise MerError(f"{path}: {error.strerror}; run the pipeline first") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MerError(f"{path}: not the metrics of an evaluation ({error!r})") from None


def _lines(part: str, values: dict[str, float], level: float) -> Iterator[str]:
    if "weighted_f1" in values:
        yield _line(part, values, level)
    for name in targets_in(values):
        scores = [
            f"{title} {values[at := f'{name}_{key}']:.3f} [{values[f'{at}_low']:.3f}, {values[f'{at}_high']:.3f}]"
            for title, key in (("MAE", "mae"), ("Pearson", "pearson"), ("CCC", "ccc"))
        ]
        covered = f"{values[f'{name}_coverage']:.1%} within their predicted intervals"
        about = f"({level * 100:g} % interval, {values[f'{name}_clips']} clips, {covered})"
        yield f"{part.replace('_', ' ')} {name} {', '.join(scores)} {about}"


def transductive(metrics: Mapping[str, Any]) -> str:
    """What is to be said beside scores where self-training learned from test clips' features; else nothing."""
    clips = metrics.get(TRANSDUCTIVE)
    return f"self-training learned from the features of {clips} test clips (transductive)" if clips else ""


def targets_in(values: Mapping[str, float]) -> list[str]:
    """The targets that a part of metrics/evaluate.json has scores of."""
    return [key.removesuffix("_mae") for key in values if key.endswith("_mae") and f"{key}_low" in values]


def _line(part: str, values: dict[str, float], level: float) -> str:
    interval = f"[{values['weighted_f1_low']:.3f}, {values['weighted_f1_high']:.3f}]"
    clips = f"{values['clips']} clips" + (f" in {values['groups']} groups" if "groups" in values else "")
    value = f"{part.replace('_', ' ')} weighted-F1 {values['weighted_f1']:.3f}"
    return f"{value} {interval} ({level * 100:g} % interval, {clips})"
