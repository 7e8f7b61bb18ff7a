"""How clips are cut and grouped for an encoder: windows over long ones, batches of short ones under a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

LEAST_FILLED = 0.8
"""Share of a row in a batch that is no padding: padding is computed on, too, and a batch too small costs less."""


@dataclass(frozen=True)
class Window:
    """Samples [start, stop) of a clip, and which of their frames are kept: [first, last)."""

    start: int
    stop: int
    first: int
    last: int


def windows(samples: int, *, window: int, overlap: int, hop: int, frames: Callable[[int], int]) -> list[Window]:
    """Cover a clip with windows of `window` samples that share about `overlap` samples with their neighbours.

    All windows are of one length (the last is moved back, never padded) and start on the clip's own frame grid.
    Neighbours meet in the middle of what they share, so every kept frame but those at the clip's ends hears at
    least half an overlap on either side, and the kept frames together are exactly `frames(samples)`.
    """
    total, span = frames(samples), frames(window)
    if total <= span:
        return [Window(0, samples, 0, total)]
    step = min(max(1, (window - overlap) // hop), span)
    starts = [*range(0, total - span, step), total - span]
    cuts = [0, *((start + previous + span) // 2 for previous, start in pairwise(starts)), total]
    return [
        Window(start * hop, min(start * hop + window, samples), cut - start, end - start)
        for start, (cut, end) in zip(starts, pairwise(cuts), strict=True)
    ]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of items grouped by similar length; a group's longest length times its size is at most `budget`.

    At most a fifth of an item's row is padding. An item longer than the budget is a group of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = lengths[batch[0]] if batch else 0
        if batch and (longest * (len(batch) + 1) > budget or lengths[index] < LEAST_FILLED * longest):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def runs(costs: Sequence[int], budget: int) -> Iterator[slice]:
    """Consecutive items whose costs add up to at most `budget`; an item that costs more is a run of its own."""
    start, total = 0, 0
    for stop, cost in enumerate(costs):
        if stop > start and total + cost > budget:
            yield slice(start, stop)
            start, total = stop, 0
        total += cost
    if start < len(costs):
        yield slice(start, len(costs))
