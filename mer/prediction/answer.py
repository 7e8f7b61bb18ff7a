"""What is predicted for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer.encoders.asr.transcript import Word
    from mer.encoders.face.crops import FaceCrops

DIGITS = 6
"""Of a probability that is written or shown."""

Probabilities = Mapping[str, float]
"""By class, in the bundle's order."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a file.

    `probabilities` are the vote's. `by_modality` are those of each modality alone, of those that the clip has, and of
    each of several views of one (`<modality>/<view>`); `experts` those of each expert that sees something of the clip,
    by `<family> <part>`, where the part is such a name or `fused`. `modalities` says of each view whether the clip has
    it, and `absent` why it lacks one. Where nothing could be predicted, `label` is None and `error` says why.

    `transcript` is what the text features were made of, `source` where it came from (`given`, `asr` or `none`), `words`
    the recognised words with their seconds where the model gives them. `faces` are the crops that the face features
    were made of, None without a picture. `notes` say what the file has and its record lacks.
    """

    path: str
    label: str | None
    probabilities: Probabilities
    modalities: Mapping[str, bool]
    error: str | None = None
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
        likely = sorted(self.probabilities.items(), key=lambda item: -item[1])[:3]
        without = [name for name, present in self.modalities.items() if not present]
        note = f"  (no {', no '.join(without)})" if without else ""
        return f"{self.path}: {self.label}  " + ", ".join(f"{name} {value:.2f}" for name, value in likely) + note


def rounded(probabilities: Probabilities) -> dict[str, float]:
    """To the digits that are written."""
    return {name: round(float(value), DIGITS) for name, value in probabilities.items()}
