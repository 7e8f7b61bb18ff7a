"""The corpus on disk, where the work runs, and what is decoded of each clip."""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from mer.params.base import Count, Positive, Section, StepSection


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
        raise ValueError("class names must be distinct and not empty")
    return classes


Classes = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]


SHIPPED_MAPS = ("iemocap-4", "iemocap-6")


def _label_map(label_map: Any) -> dict[str, str | None] | str | None:
    """A mapping, or the name of a shipped one.

    Labels that are whole numbers may go without quotes; YAML's other words (no, 1.0) are not what they seem.
    """
    if label_map is None or label_map in SHIPPED_MAPS:
        found: dict[str, str | None] | str | None = label_map
        return found
    if not isinstance(label_map, dict):
        raise ValueError(f"a mapping is needed, or the name of one that is shipped ({', '.join(SHIPPED_MAPS)})")
    for theirs, ours in label_map.items():
        if isinstance(theirs, bool) or not isinstance(theirs, str | int):
            raise ValueError(f"YAML reads the label {theirs!r} as no text: put it in quotes")
        if ours is not None and not isinstance(ours, str):
            raise ValueError(f"YAML reads {ours!r} as no text: put the name of the class in quotes")
        if not str(theirs).strip() or (ours is not None and not ours.strip()):
            raise ValueError("no label may be empty; null drops its clips")
    mapped = {str(theirs): ours for theirs, ours in label_map.items()}
    if not mapped or len({theirs.casefold() for theirs in mapped}) < len(label_map):
        raise ValueError("labels must be distinct, capitals aside, and one at least")
    return mapped


def _text_encoding(name: str) -> str:
    try:
        known = codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError, TypeError):
        known = False
    if not known:
        raise ValueError(f"no encoding {name[:100]!a} is known (utf-8, gb18030, utf-16-le and latin-1 are)")
    return name


def _target_names(target: Any) -> str | tuple[str, ...] | None:
    """One name or several; each is part of a column's name."""
    if target is None:
        return None
    names = [target] if isinstance(target, str) else target
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("a name is needed, or a list of names")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[\w .-]{1,100}", name):
            raise ValueError(f"{str(name)[:100]!a} is no name for a target")
    if len(set(names)) < len(names):
        raise ValueError("targets must be distinct")
    return target if isinstance(target, str) else tuple(target)


Column = Literal["clip_id", "path", "label", "split", "group", "transcript", "fold", "start", "end"]
LabelMap = Annotated[dict[str, str | None] | str | None, PlainValidator(_label_map)]
Target = Annotated[str | tuple[str, ...] | None, PlainValidator(_target_names)]

READ_BY = {
    "labels": ("folder", "mertools", "mmsa"),
    "columns": ("folder", "mertools"),
    "test": ("mer2023", "mertools"),
}
"""Keys that only some layouts read; `auto` may turn out to be one of them."""


class CorpusParams(Section):
    root: str = "sample/corpus"
    layout: Literal[
        "folder",
        "mer2023",
        "mer2024",
        "mer2025",
        "mer2026",
        "meld",
        "iemocap",
        "ch-sims",
        "ch-sims-v2",
        "mosi",
        "mosei",
        "crema-d",
        "ravdess",
        "mead",
        "emodb",
        "emobox",
        "audformat",
        "mertools",
        "mmsa",
        "auto",
    ] = "mer2024"
    classes: Classes | None = None
    """Class order; None takes the layout's own (or, for `folder`, the labels found, sorted)."""
    label_map: LabelMap = None
    """Their label -> ours, or null to drop its clips; or the name of a map that is shipped. None takes the layout's."""
    target: Target = None
    """Numbers to predict, beside the classes or instead of them: valence, or [valence, arousal]."""
    labels: str = "labels.csv"
    """For `folder`: the CSV file with the labels, relative to `root` or absolute. For `mertools` that, or their .npz;
    for `mmsa` their .pkl, where there are several."""
    encoding: Annotated[str, AfterValidator(_text_encoding)] = "utf-8"
    """Of tables that have no byte order mark: gb18030 for what Excel saves in China."""
    columns: dict[Column, str] = Field(default_factory=dict)
    """For `folder` and `mertools`: our name of a column -> its name in that file, where they differ."""
    test: Literal["test1", "test2", "test3"] = "test3"
    """For `mer2023` and `mertools`: the test set that makes the test split (MER-MULTI, MER-NOISE, MER-SEMI)."""
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0

    @model_validator(mode="after")
    def _layout_reads_what_is_set(self) -> CorpusParams:
        for key, layouts in READ_BY.items():
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if self.layout not in (*layouts, "auto") and getattr(self, key) != default:
                some = f"{', '.join(layouts[:-1])} and {layouts[-1]}"
                raise ValueError(f"{key} is for the layouts {some} alone, and layout is {self.layout}")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the numbers to predict."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()


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
