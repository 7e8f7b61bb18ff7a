"""What every section of params.yaml is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Modality = Literal["audio", "face", "text"]
MODALITIES: tuple[Modality, ...] = ("audio", "face", "text")
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of params.yaml: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class StepSection(Section):
    """A section of a stage that works clip by clip."""

    max_failed: Fraction = 0.05
    """The stage fails when a larger share of the clips does."""
    max_lost: Fraction = 0.0
    """The stage fails when the machine loses a larger share of them (a worker killed, no space); then run it again."""
