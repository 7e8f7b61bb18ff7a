"""Results a line each in a JSON-lines file, so that a long benchmark can be run in pieces, and tables made of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BOOTSTRAP = 10_000


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
    """Percentile bootstrap interval of the mean of paired differences, one a draw."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, size=(BOOTSTRAP, len(differences))).mean(axis=1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def against(frame: pd.DataFrame, columns: Sequence[Any], by: str, reference: str) -> str:
    """A row a method, a cell a value of `by`: the mean weighted-F1 and the paired interval of `reference` minus it."""
    rows = []
    for method in frame["method"].drop_duplicates():
        cells = [method]
        for column in columns:
            part = frame[frame[by] == column].pivot_table(index="draw", columns="method", values="weighted_f1")
            if method not in part:
                cells.append("")
                continue
            cell = f"{part[method].mean():.3f}"
            if method != reference and reference in part:
                differences = (part[reference] - part[method]).dropna().to_numpy()
                low, high = paired_interval(differences)
                cell += f" ({differences.mean():+.3f}, {low:+.3f} to {high:+.3f})"
            cells.append(cell)
        rows.append(cells)
    return markdown(["method", *(str(column) for column in columns)], rows)
