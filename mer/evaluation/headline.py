"""The one thing to read after a run."""

from __future__ import annotations

import json
from pathlib import Path

from mer.errors import MerError
from mer.evaluation.scored import PARTS


def headline(path: str | Path) -> str:
    """A line for each part of metrics/evaluate.json: weighted-F1 with its interval.

    Raises:
        MerError: the file is missing or was not written by an evaluation.
    """
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
        level = metrics["confidence_level"]
        return "\n".join(_line(part, metrics[part], level) for part in PARTS if part in metrics)
    except OSError as error:
        raise MerError(f"{path}: {error.strerror}; run the pipeline first") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MerError(f"{path}: not the metrics of an evaluation ({error!r})") from None


def _line(part: str, values: dict[str, float], level: float) -> str:
    interval = f"[{values['weighted_f1_low']:.3f}, {values['weighted_f1_high']:.3f}]"
    clips = f"{values['clips']} clips" + (f" in {values['groups']} groups" if "groups" in values else "")
    value = f"{part.replace('_', ' ')} weighted-F1 {values['weighted_f1']:.3f}"
    return f"{value} {interval} ({level * 100:g} % interval, {clips})"
