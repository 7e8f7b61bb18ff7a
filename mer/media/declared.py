"""What a file declares of its own length, to be held against what came of it."""

from __future__ import annotations

from pathlib import Path

import av

from mer.media.formats import DECLARED_LENGTH, is_one_of
from mer.media.notes import Notebook

SHORTFALL, SHORTFALL_SECONDS = 0.1, 0.5
"""A stream that ends this share, and this many seconds, before its declared length is noted."""
STREAMED = frozenset({0, 0xFFFFFFFF})
"""Sizes in a RIFF header that was written before the size was known."""


def note_shortfall(notes: Notebook, kind: str, stream: av.stream.Stream, seconds: float) -> None:
    """Note a stream that gave much less than its header declares."""
    declared = _seconds(stream)
    if declared is not None and seconds < declared - max(SHORTFALL_SECONDS, SHORTFALL * declared):
        notes.add(kind, f"{seconds:.2f} s of {declared:.2f} s that the file declares")


def _seconds(stream: av.stream.Stream) -> float | None:
    """Declared length of a stream; None where its format has none, or only an estimate."""
    if stream.metadata.get("DURATION"):  # Matroska's statistics
        try:
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        except ValueError:
            return None
    if stream.duration and stream.time_base and is_one_of(stream.container.format.name, DECLARED_LENGTH):
        return float(stream.duration * stream.time_base)
    return None


def note_cut_riff(notes: Notebook, path: Path) -> None:
    """Note a WAV or AVI that is shorter than its own header says: FFmpeg takes the rest for the whole."""
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    if head[:4] in (b"RIFF", b"RF64") and size not in STREAMED and path.stat().st_size < size:
        notes.add("truncated", f"the file has {path.stat().st_size} bytes of {size + 8} that its header declares")
