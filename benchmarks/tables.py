"""Results a line each in a JSON-lines file, so that a long benchmark can be run in pieces, and tables made of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t


class Results:
    """The lines of one benchmark. A line has the columns of `keys` and a `weighted_f1`."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.path, self.keys = path, tuple(keys)
        self.lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._done = {self._key(line) for line in self.lines}

    def has(self, **key: Hashable) -> bool:
        """Whether the line is there already."""
        return self._key(key) in self._done

    def add(self, **line: Any) -> None:
        """Append a line, on disk at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        self._done.add(self._key(line))

    def frame(self) -> pd.DataFrame:
        """All lines."""
        return pd.DataFrame(self.lines)

    def _key(self, line: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(line[name] for name in self.keys)


def paired_interval(differences: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of paired differences, one a draw; of one alone it is without end.

    A percentile bootstrap of three draws would cover three means in four, not the 95 in 100 that it claims.
    """
    if len(differences) < 2:
        return -float("inf"), float("inf")
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    reach = float(t.ppf((1 + confidence) / 2, len(differences) - 1)) * error
    return float(differences.mean()) - reach, float(differences.mean()) + reach


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


CELL = ["corpus", "normalise", "balance", "share"]


def pivoted(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a draw of a cell, a column a method."""
    return frame.pivot_table(index=[*CELL, "draw"], columns="method", values="weighted_f1")


def cell_table(frame: pd.DataFrame, method: str = "mrccl") -> str:
    """Mean weighted-F1 of every method in every cell, and `method` minus it with the paired interval over draws."""
    table = pivoted(frame)
    rows = []
    for cell, part in table.groupby(level=CELL):
        row = [*map(str, cell), str(len(part))]
        for name in table.columns:
            if part[name].isna().all():
                row.append("")
                continue
            text = f"{part[name].mean():.3f}"
            if name != method and method in part:
                text += f" ({interval_text((part[method] - part[name]).dropna().to_numpy())})"
            row.append(text)
        rows.append(row)
    return markdown([*CELL, "draws", *map(str, table.columns)], rows) + "\n"


def margin_table(frame: pd.DataFrame, method: str = "mrccl") -> str:
    """Per cell, `method` minus the other that it is least ahead of, over the draws that both have, and self-training
    minus labels only."""
    table = pivoted(frame)
    others = [name for name in ("logistic regression", "attention", "labels only") if name in table]
    if method not in table or not others:
        return ""
    rows, best_few, gains = [], [], []
    for cell, part in table.groupby(level=CELL):
        ahead = part[others].rsub(part[method], axis=0)  # paired; no number where one was not run
        if ahead.isna().all().any():
            continue
        best = ahead.mean().idxmin()
        margin = ahead[best].dropna().to_numpy()
        row = [*map(str, cell), str(best), interval_text(margin)]
        if "labels only" in part:
            gain = ahead["labels only"].dropna().to_numpy()
            gains.append((cell[0], gain.mean()))
            row.append(interval_text(gain))
        if float(str(cell[-1])) <= 0.1:
            best_few.append(margin.mean())
        rows.append(row)
    text = markdown([*CELL, "best of the others", f"{method} minus it", "self-training minus labels only"], rows)
    if best_few:
        text += f"\n\nMean over the {len(best_few)} cells up to 10 %: {np.mean(best_few):+.4f}"
    for corpus, mean in pd.DataFrame(gains, columns=["corpus", "gain"]).groupby("corpus")["gain"].mean().items():
        text += f"\nSelf-training on {corpus}, mean of its cells: {mean:+.4f}"
    return text + "\n"


def claim_table(frame: pd.DataFrame, method: str = "mrccl") -> str:
    """One row a claim: what is compared, over which cells, the mean difference with its interval, the corpora.

    The interval is over draws of these corpora; of others it says nothing.
    """
    table = pivoted(frame)
    others = [name for name in ("logistic regression", "attention", "labels only") if name in table]
    few = table.index.get_level_values("share") <= 0.1
    rows = []
    for name in others:
        for what, part in (("up to 10 %", table[few]), ("30 % and more", table[~few])):
            by_draw = (part[method] - part[name]).dropna()
            if len(by_draw):
                cells = by_draw.groupby(level=CELL).mean()
                corpora = ", ".join(sorted(set(cells.index.get_level_values("corpus"))))
                # All cells of a corpus' draw share their clips: they count once.
                effect = interval_text(by_draw.groupby(level=["corpus", "draw"]).mean().to_numpy())
                rows.append([f"{method} minus {name}, labels {what}", effect, f"{cells.min():+.3f}", corpora])
    return markdown(["claim", "mean difference, 95 %", "worst cell's mean", "corpora"], rows) + "\n"


def between_markers(text: str, name: str, table: str) -> str:
    """A document with what stands between `<!-- name -->` and `<!-- end of name -->` replaced."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if start not in text or end not in text:
        raise ValueError(f"no markers {start} and {end}")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n\n{table.strip()}\n\n{end}{rest.split(end, 1)[1]}"


def interval_text(differences: NDArray[np.float64]) -> str:
    """Mean and paired interval, where there is one."""
    low, high = paired_interval(differences)
    if low == -float("inf"):
        return f"{differences.mean():+.3f}"
    return f"{differences.mean():+.3f}, {low:+.3f} to {high:+.3f}"
