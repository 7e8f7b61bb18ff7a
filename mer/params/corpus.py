"""The corpus on disk, where the work runs, and what is decoded of each clip."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mer.params.base import Count, Fraction, Positive, Section


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
        raise ValueError("class names must be distinct and not empty")
    return classes


Classes = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]

Column = Literal["clip_id", "path", "label", "split", "group", "transcript"]


class CorpusParams(Section):
    root: str = "sample/corpus"
    layout: Literal["mer2024", "folder"] = "mer2024"
    classes: Classes | None = None
    """Class order; None takes the layout's own (or, for `folder`, the labels found, sorted)."""
    labels: str = "labels.csv"
    """For `folder`: the CSV file with the labels, relative to `root` or absolute."""
    columns: dict[Column, str] = Field(default_factory=dict)
    """For `folder`: our name of a column -> its name in that file, where they differ."""
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0


class ComputeParams(Section):
    """Where the work runs. Never part of a cache key: it must not change a byte of the result."""

    engine: Literal["local", "ray"] = "local"
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0 means one a core."""
    address: str | None = None
    """Ray cluster to join; None starts a local one."""


class DecodeParams(Section):
    frames: Annotated[int, Field(ge=0)] = 8
    """Frames sampled evenly over time from each clip."""
    max_side: Count = 640
    """Frames are scaled down (never up) so that their longer side is at most this many pixels."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 92
    max_seconds: Positive = 600.0
    """A longer clip is quarantined."""
    max_pixels: Count = 4096 * 4096
    timeout_seconds: Positive = 60.0
    """Wall-clock limit for one clip."""
    memory_mb: Count = 4096
    """Address-space limit of a decoding worker."""
    max_failed: Fraction = 0.05
    """The stage fails when a larger share of the clips was quarantined."""
