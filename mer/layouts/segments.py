"""Clips that are parts of a file: where each begins and ends, and whether two of them share what is said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import inf

from mer.layouts.base import Clip
from mer.layouts.rows import Row

SHARED = 0.01
"""Seconds that two segments may share: times are rounded."""


def segment(row: Row) -> tuple[float | None, float | None]:
    """The columns `start` and `end` in seconds; None is the file's beginning, or its end.

    Raises:
        MerError: one is no number or before the beginning, or the segment ends where it starts or earlier.
    """
    start, end = row.number("start"), row.number("end")
    for name, value in (("start", start), ("end", end)):
        if value is not None and value < 0:
            raise row.error(f"{name} {value:g} is before the file's beginning")
    if end is not None and end <= (start or 0.0):
        raise row.error(f"the segment ends at {end:g} s, where it starts at {start or 0:g} s")
    return start, end


def overlapping(clips: Iterable[Clip]) -> Iterator[tuple[Clip, Clip]]:
    """Neighbours of one file that overlap though one voice says both: two groups may speak at a time."""
    by_file: dict[tuple[str, str | None], list[Clip]] = defaultdict(list)
    for clip in clips:
        by_file[clip["path"], clip.get("group")].append(clip)
    for found in by_file.values():
        ordered = sorted(found, key=lambda clip: (clip.get("start") or 0.0, _end(clip)))
        latest = ordered[0]
        for clip in ordered[1:]:
            if (clip.get("start") or 0.0) < _end(latest) - SHARED:
                yield latest, clip
            if _end(clip) > _end(latest):
                latest = clip


def _end(clip: Clip) -> float:
    end = clip.get("end")
    return inf if end is None else end
