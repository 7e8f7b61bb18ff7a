"""What part of a file a clip is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """`start` and `end` in seconds from the file's beginning (None: from there, to its end); `crop` is None, 'left' or
    'right'; `sound` is the path of a file that is this part's sound, from beginning to end."""

    start: float | None = None
    end: float | None = None
    crop: str | None = None
    sound: str | None = None
