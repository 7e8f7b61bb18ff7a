"""What is predicted for a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer.encoders.asr.transcript import Word
    from mer.encoders.face.crops import FaceCrops

DIGITS = 6
"""Of a probability that is written or shown."""

Probabilities = Mapping[str, float]
"""By class, in the bundle's order."""
SIGNIFICANT = 9
"""Digits of a predicted number that are written, whatever its scale."""


@dataclass(frozen=True)
class Estimate:
    """A predicted number, and the ends of its interval, infinite where the bundle learned from too few clips to bound
    it."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """For JSON, which knows no infinity: None for an end that is infinite."""
        return {name: one if math.isfinite(one) else None for name, one in asdict(_written(self)).items()}

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


Targets = Mapping[str, Estimate]
"""By target, in the bundle's order."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a file.

    `probabilities` are the vote's. `by_modality` are those of each modality alone, of those that the clip has, and of
    each of several views of one (`<modality>/<view>`); `experts` those of each expert that sees something of the clip,
    by `<family> <part>`, where the part is such a name or `fused`. `modalities` says of each view whether the clip has
    it, and `absent` why it lacks one. Where nothing could be predicted, `label` is None and `error` says why.

    `targets` are the numbers that the bundle predicts, if any. One of targets alone knows no classes: then `label` is
    None and `probabilities` are empty without any error.

    `transcript` is what the text features were made of, `source` where it came from (`given`, `asr` or `none`), `words`
    the recognised words with their seconds where the model gives them. `faces` are the crops that the face features
    were made of, None without a picture. `notes` say what the file has and its record or a view lacks.
    """

    path: str
    label: str | None
    probabilities: Probabilities
    modalities: Mapping[str, bool]
    error: str | None = None
    targets: Targets = field(default_factory=dict)
    by_modality: Mapping[str, Probabilities] = field(default_factory=dict)
    experts: Mapping[str, Probabilities] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    transcript: str = ""
    source: str = "none"
    words: tuple[Word, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    faces: FaceCrops | None = field(default=None, compare=False)
    transient: bool = False
    """Whether the error is the machine's, or met a limit: another run may do better."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: probabilities rounded to six digits; what is empty is left out."""
        values: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "probabilities": rounded(self.probabilities),
            "modalities": dict(self.modalities),
        }
        more: dict[str, Any] = {
            "targets": {name: one.as_dict() for name, one in self.targets.items()},
            "by_modality": {name: rounded(of) for name, of in self.by_modality.items()},
            "group": self.group,
            "transcript": self.transcript,
            "words": [asdict(word) for word in self.words],
            "seconds": round(self.seconds, DIGITS),
            "notes": list(self.notes),
            "error": self.error,
        }
        return values | {name: value for name, value in more.items() if value}

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.path}: {self.error}"
        told = [f"{self.label}  {likeliest(self.probabilities)}"] if self.label is not None else []
        told += [f"{name} {one}" for name, one in self.targets.items()]
        without = [name for name, present in self.modalities.items() if not present]
        note = f"  (no {', no '.join(without)})" if without else ""
        return f"{self.path}: {'; '.join(told)}{note}"


def likeliest(probabilities: Probabilities) -> str:
    """The three likeliest classes, for people."""
    likely = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {value:.2f}" for name, value in likely)


def rounded(probabilities: Probabilities) -> dict[str, float]:
    """To the digits that are written."""
    return {name: round(float(value), DIGITS) for name, value in probabilities.items()}


def target_columns(targets: Targets, names: Sequence[str]) -> dict[str, float | None]:
    """Cells of a table as `data/predictions.parquet` names them: `t_<name>`, `t_<name>_low` and `t_<name>_high`; None
    where a target is not known."""
    found: dict[str, float | None] = {}
    for name in names:
        one = _written(targets[name]) if name in targets else None
        found[f"t_{name}"] = None if one is None else one.value
        found[f"t_{name}_low"] = None if one is None else one.low
        found[f"t_{name}_high"] = None if one is None else one.high
    return found


def _written(one: Estimate) -> Estimate:
    return Estimate(*(float(f"{value:.{SIGNIFICANT}g}") for value in (one.value, one.low, one.high)))
