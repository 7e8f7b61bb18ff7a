"""What a server counts of itself, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histograms' buckets."""


@dataclass
class Histogram:
    """How many took how long."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, label: str) -> list[str]:
        lines, so_far = [], 0
        for bound, count in zip([*map(str, SECONDS), "+Inf"], self.buckets, strict=True):
            so_far += count
            lines.append(f'{name}_bucket{{{label},le="{bound}"}} {so_far}')
        return [*lines, f"{name}_sum{{{label}}} {self.total:.6f}", f"{name}_count{{{label}}} {so_far}"]


@dataclass
class Counts:
    """`answers` by HTTP status, `faults` by name, `labels` by predicted class, seconds by what took them."""

    classes: Sequence[str]
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, Histogram] = field(default_factory=lambda: {"decoding": Histogram(), "predicting": Histogram()})
    received: int = 0

    def text(self, now: Mapping[str, float]) -> str:
        """All of it; `now` are gauges by name."""
        labels = {name: self.labels[name] for name in self.classes}
        lines = [
            *_counter("mer_answers_total", "Answers to predictions by HTTP status.", "status", self.answers),
            *_counter("mer_faults_total", "Predictions that failed or were refused, by fault.", "fault", self.faults),
            *_counter("mer_predictions_total", "Clips predicted, by class.", "class", labels),
            "# HELP mer_received_bytes_total Bytes of clips received.",
            "# TYPE mer_received_bytes_total counter",
            f"mer_received_bytes_total {self.received}",
            "# HELP mer_seconds Seconds that a clip took.",
            "# TYPE mer_seconds histogram",
        ]
        for name, histogram in self.seconds.items():
            lines += histogram.lines("mer_seconds", f'part="{name}"')
        for name, value in now.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _counter(name: str, about: str, label: str, counts: Mapping[str, int]) -> list[str]:
    values = [f'{name}{{{label}="{_escaped(key)}"}} {count}' for key, count in sorted(counts.items())]
    return [f"# HELP {name} {about}", f"# TYPE {name} counter", *values]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
