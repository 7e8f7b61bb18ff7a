"""The report's section on how the bundle stands noise and what else may befall a clip."""

from __future__ import annotations

import pandas as pd

from mer.evaluation.report.charts import line_chart
from mer.evaluation.report.markup import Markup, element, join, section, table


def robustness(curves: pd.DataFrame) -> Markup:
    """Weighted-F1 in every condition, a column a training, and a chart for each kind with several levels; nothing
    where the stage was off."""
    if curves.empty:
        return join([])
    trainings = list(dict.fromkeys(curves["training"]))
    rows = [
        (name, *(_cell(own, training) for training in trainings))
        for name, own in curves.groupby("condition", sort=False)
    ]
    shown = curves[curves["training"] == trainings[0]]
    charts = [
        line_chart(str(kind), own["level"].to_numpy(float), own["weighted_f1"].to_numpy(float), "level")
        for kind, own in shown.groupby("kind", sort=False)
        if own["level"].notna().sum() > 1
    ]
    heading = ("condition", *(f"trained {name.replace('_', ' ')}" for name in trainings))
    clips = int(curves["clips"].iloc[0])
    note = (
        f"Weighted-F1 of {clips} test clips with bootstrap intervals. Levels are dB of signal to noise, shares of the "
        "picture or of the words, or the factor by which frames were scaled down."
    )
    return section(
        "Robustness",
        table("Conditions", heading, rows, class_="wide"),
        element("div", *charts, class_="small"),
        note=note,
    )


def _cell(rows: pd.DataFrame, training: str) -> str:
    own = rows[rows["training"] == training]
    if own.empty:
        return ""
    value, low, high = (float(own[name].iloc[0]) for name in ("weighted_f1", "weighted_f1_low", "weighted_f1_high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
