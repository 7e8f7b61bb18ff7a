"""The report's section on predicted numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mer.evaluation.headline import targets_in
from mer.evaluation.report.charts import scatter
from mer.evaluation.report.markup import Markup, element, section, table
from mer.evaluation.report.sections import TITLES
from mer.evaluation.scored import PARTS

HEADING = ("target", "part", "MAE", "MSE", "Pearson", "CCC", "within interval", "clips")
SENTIMENT = {
    "has0_acc_2": "Acc-2 (with zero)",
    "non0_acc_2": "Acc-2 (without)",
    "has0_f1": "F1 (with zero)",
    "non0_f1": "F1 (without)",
    "acc_2": "Acc-2",
    "acc_3": "Acc-3",
    "acc_5": "Acc-5",
    "acc_7": "Acc-7",
    "f1": "F1",
}
MOST_POINTS = 2000
"""Of a target that the page draws: an even choice of more."""


def sections(metrics: Mapping[str, Any], plots: Mapping[str, pd.DataFrame]) -> Iterator[Markup]:
    """Scores of each target with their intervals, and predicted over actual values; nothing without targets."""
    parts = {part: metrics[part] for part in PARTS if part in metrics}
    rows = [_row(name, part, values) for part, values in parts.items() for name in targets_in(values)]
    if not rows:
        return
    extra = [
        (name, TITLES[part], title, f"{values[f'{name}_{key}']:.3f}")
        for part, values in parts.items()
        for name in targets_in(values)
        for key, title in SENTIMENT.items()
        if f"{name}_{key}" in values
    ]
    extra += [
        ("valence", TITLES[part], "weighted-F1 - 0.25 MSE", f"{values['f1_minus_mse']:.3f}")
        for part, values in parts.items()
        if "f1_minus_mse" in values
    ]
    charts = [
        _chart(str(name), part, points)
        for part in PARTS
        for name, points in plots[f"targets_{part}"].groupby("target", sort=False)
    ]
    tables = [table("Scores", HEADING, rows, class_="wide")]
    if extra:
        tables.append(table("As challenges and sentiment analysis report", ("target", "part", "score", "value"), extra))
    note = (
        f"In brackets {metrics['confidence_level'] * 100:g} % bootstrap intervals. 'Within interval': the share of "
        "clips whose number lies in the interval that was predicted with it (conformal, from clips that the models "
        "never saw)."
    )
    yield section("Targets", *tables, element("div", *charts, class_="grid"), note=note)


def _row(name: str, part: str, values: Mapping[str, Any]) -> tuple[object, ...]:
    scores = [
        f"{values[f'{name}_{key}']:.3f} [{values[f'{name}_{key}_low']:.3f}, {values[f'{name}_{key}_high']:.3f}]"
        for key in ("mae", "mse", "pearson", "ccc")
    ]
    return (name, TITLES[part], *scores, f"{values[f'{name}_coverage']:.1%}", values[f"{name}_clips"])


def _chart(name: str, part: str, points: pd.DataFrame) -> Markup:
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).round().astype(int))
    shown = points.iloc[kept]
    title = f"{name}, {TITLES[part].lower()}: predicted over actual"
    return scatter(title, shown["value"].to_numpy(float), shown["estimate"].to_numpy(float))
