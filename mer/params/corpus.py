"""The corpus on disk, where the work runs, and what is decoded of each clip."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mer.params.base import Count, Positive, Section, StepSection


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
        raise ValueError("class names must be distinct and not empty")
    return classes


Classes = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]

Column = Literal["clip_id", "path", "label", "split", "group", "transcript"]

READ_BY = {"labels": "folder", "columns": "folder", "test": "mer2023"}
"""Keys that only one layout reads."""


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _apart(targets: tuple[str, ...]) -> tuple[str, ...]:
    columns = [f"{name}{end}" for name in targets for end in ("", "_low", "_high")]
    if len(set(columns)) < len(columns) or not all(name.strip() == name and name.isprintable() for name in targets):
        raise ValueError("targets must have different names, none of them another's with _low or _high at its end")
    return targets


Targets = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(min_length=1),
    BeforeValidator(_names),
    AfterValidator(_apart),
]


class CorpusParams(Section):
    root: str = "sample/corpus"
    layout: Literal["folder", "mer2023", "mer2024", "mer2025", "mer2026", "meld"] = "mer2024"
    classes: Classes | None = None
    """Class order; None takes the layout's own (or, for `folder`, the labels found, sorted)."""
    labels: str = "labels.csv"
    """For `folder`: the CSV file with the labels, relative to `root` or absolute."""
    columns: dict[Column, str] = Field(default_factory=dict)
    """For `folder`: our name of a column -> its name in that file, where they differ."""
    test: Literal["test1", "test2", "test3"] = "test3"
    """For `mer2023`: the test set that makes the test split (MER-MULTI, MER-NOISE, MER-SEMI)."""
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0
    target: Targets | None = None
    """Numbers to predict beside the classes, by the names that the corpus has for them: `valence`, or several as a
    list. A corpus without labels has its targets alone."""

    @model_validator(mode="after")
    def _layout_reads_what_is_set(self) -> CorpusParams:
        for key, layout in READ_BY.items():
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if self.layout != layout and getattr(self, key) != default:
                raise ValueError(f"{key} is for layout {layout} alone, and layout is {self.layout}")
        return self


class ComputeParams(Section):
    """Where the work runs. Never part of a cache key: it must not change a byte of the result."""

    engine: Literal["local", "ray"] = "local"
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0 means one a core."""
    address: str | None = None
    """Ray cluster to join; None starts a local one."""


class DecodeParams(StepSection):
    frames: Annotated[int, Field(ge=0)] = 8
    """Frames sampled evenly over time from each clip."""
    audio_track: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] = "default"
    """Sound stream of files that have several: 'default' (as FFmpeg chooses), its number from 0, or a language code
    as the file has it ('eng'). A file without that track gives its default one, with a warning."""
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
