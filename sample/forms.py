"""The forms that an emotion takes, and what one modality of a clip expresses.

Actors and listeners tell apart two forms of most emotions, such as hot and cold anger, and each has a face and a voice
of its own (Banse & Scherer 1996, 'Acoustic profiles in vocal emotion expression'). A class is then no single cluster in
any modality, and the modalities of a clip share more than its class.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMS: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral",),
    "angry": ("hot anger", "cold anger"),
    "happy": ("elation", "contentment"),
    "sad": ("despair", "grief"),
    "worried": ("panic", "unease"),
    "surprise": ("delight", "shock"),
}
CLASS_OF = {form: emotion for emotion, forms in FORMS.items() for form in forms}


@dataclass(frozen=True)
class Expression:
    """`strength` runs from 0, a neutral face or voice, to 1, the form in full."""

    form: str
    strength: float

    @property
    def emotion(self) -> str:
        """The class."""
        return CLASS_OF[self.form]
