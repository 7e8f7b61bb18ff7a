"""The report's pictures, as inline SVG; each says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from mer.evaluation.report.markup import Markup, element, html, list_of, share_cell, table


def interval_bar(value: float, low: float, high: float, baseline: float) -> Markup:
    """A score between 0 and 1 with its interval, and a mark where the baseline stands."""
    x = [round(300 * part, 1) for part in (value, low, high, baseline)]
    shapes = (
        '<line class="axis" x1="0" y1="12" x2="300" y2="12"/>'
        f'<rect class="band" x="{x[1]}" y="6" width="{max(x[2] - x[1], 1):.1f}" height="12" rx="3"/>'
        f'<circle class="dot" cx="{x[0]}" cy="12" r="4"/>'
        f'<line class="mark" x1="{x[3]}" y1="2" x2="{x[3]}" y2="22"/>'
    )
    label = f"{value:.3f}, interval {low:.3f} to {high:.3f}, baseline {baseline:.3f}, on a scale from 0 to 1"
    return _svg("0 0 300 24", shapes, label, class_="interval")


def line_chart(name: str, x: NDArray[np.float64], y: NDArray[np.float64], x_name: str) -> Markup:
    """A curve with its range and its last value; points that are not numbers are left out."""
    title = name.replace("_", " ")
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return element("figure", element("figcaption", title), element("p", "no values", class_="note"))
    x, y = x[finite], y[finite]
    at_x = 6 + 188 * (x - x.min()) / max(np.ptp(x), 1e-12)
    at_y = 70 - 60 * (y - y.min()) / max(np.ptp(y), 1e-12)
    shapes = (
        '<line class="axis" x1="6" y1="74" x2="194" y2="74"/>'
        f'<polyline class="line" points="{_points(at_x, at_y)}"/>'
        f'<circle class="dot" cx="{at_x[-1]:.1f}" cy="{at_y[-1]:.1f}" r="3"/>'
        f'<text x="6" y="88">{html(x_name)} {x[0]:g}</text>'
        f'<text x="194" y="88" text-anchor="end">{x[-1]:g}</text>'
    )
    label = f"{title} by {x_name}: from {y[0]:.3g} to {y[-1]:.3g}, between {y.min():.3g} and {y.max():.3g}"
    caption = element("figcaption", title, element("b", f"{y[-1]:.3g}"))
    return element("figure", caption, _svg("0 0 200 92", shapes, label))


def reliability_diagram(bins: pd.DataFrame) -> Markup:
    """Accuracy over confidence; the dashed line is perfect calibration, a dot's area the number of clips."""
    confidence, accuracy, clips = (bins[name].to_numpy(float) for name in ("confidence", "accuracy", "clips"))
    at_x, at_y, radius = 30 + 260 * confidence, 270 - 260 * accuracy, 2 + 9 * np.sqrt(clips / clips.max())
    dots = "".join(
        f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="{r:.1f}"/>'
        for cx, cy, r in zip(at_x, at_y, radius, strict=True)
    )
    shapes = (
        '<rect class="frame" x="30" y="10" width="260" height="260"/>'
        '<line class="ideal" x1="30" y1="270" x2="290" y2="10"/>'
        f'<polyline class="line" points="{_points(at_x, at_y)}"/>{dots}'
        '<text x="30" y="286">0</text><text x="290" y="286" text-anchor="end">1</text>'
        '<text x="160" y="286" text-anchor="middle">confidence</text>'
        '<text x="24" y="270" text-anchor="end">0</text><text x="24" y="20" text-anchor="end">1</text>'
        '<text x="20" y="140" text-anchor="middle" transform="rotate(-90 20 140)">accuracy</text>'
    )
    said = "; ".join(f"{sure:.2f}: {right:.2f}" for sure, right in zip(confidence, accuracy, strict=True))
    return _svg("0 0 300 292", shapes, f"Accuracy by confidence. {said}", class_="square")


def confusion_heat_map(part: str, caption: str, points: pd.DataFrame, classes: Sequence[str]) -> Markup:
    """Counts of actual (rows) against predicted classes; the shade is the share of the row, and a cell knows its clips:
    those of `part` that it counts."""
    counts = confusion_matrix(points["actual"], points["predicted"], labels=list(classes)).tolist()
    rows = [
        (classes[at], *(_heat_cell(row[to], max(sum(row), 1), (part, at, to), classes) for to in range(len(row))))
        for at, row in enumerate(counts)
    ]
    return table(caption, ("actual", *classes), rows, class_="heat")


def _heat_cell(count: int, total: int, of: tuple[str, int, int], classes: Sequence[str]) -> Markup:
    share = count / total
    if not count:
        return share_cell(share, "0", class_="heat")
    part, actual, predicted = of
    listed = list_of(part=part, actual=str(actual), predicted=str(predicted))
    says = f"List {count} clips, actual {classes[actual]}, predicted {classes[predicted]}"
    shown = Markup(f"{count}<small>{share:.0%}</small>")
    return share_cell(share, shown, class_="heat", data_list=listed, data_says=says)


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _svg(box: str, shapes: str, label: str, class_: str = "chart") -> Markup:
    return element("svg", Markup(shapes), viewBox=box, role="img", aria_label=label, class_=class_)


def scatter(title: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Markup:
    """Predicted over actual values, both on the range of the two; the dashed line is where they are equal."""
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    span = max(high - low, 1e-12)
    at_x, at_y = 30 + 260 * (x - low) / span, 270 - 260 * (y - low) / span
    dots = "".join(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in zip(at_x, at_y, strict=True))
    shapes = (
        '<rect class="frame" x="30" y="10" width="260" height="260"/>'
        f'<line class="ideal" x1="30" y1="270" x2="290" y2="10"/>{dots}'
        f'<text x="30" y="286">{low:.2g}</text><text x="290" y="286" text-anchor="end">{high:.2g}</text>'
        '<text x="160" y="286" text-anchor="middle">actual</text>'
        '<text x="20" y="140" text-anchor="middle" transform="rotate(-90 20 140)">predicted</text>'
    )
    label = f"{title}: {len(x)} clips between {low:.3g} and {high:.3g}"
    return element("figure", element("figcaption", title), _svg("0 0 300 292", shapes, label))
