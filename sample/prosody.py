"""How an emotion changes the voice (Scherer 2003; Juslin & Laukka 2003, table 7)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sample.params import VoiceKnobs


@dataclass(frozen=True)
class Prosody:
    """Offsets to a speaker's neutral voice."""

    pitch: float = 0.0
    """Semitones."""
    span: float = 0.0
    """Pitch range, in octaves of the range."""
    slope: float = -1.0
    """Semitones a second over the sentence."""
    final: float = 0.0
    """Semitones that the last syllable rises."""
    rate: float = 0.0
    """Speaking rate, octaves."""
    energy: float = 0.0
    """Decibels."""
    tilt: float = 0.0
    """Decibels an octave; negative is brighter."""
    breath: float = 0.0
    tremor: float = 0.0
    """Pitch tremor in semitones."""
    smile: float = 0.0
    """Share by which the formants rise."""


PROSODY = {
    "neutral": Prosody(),
    "angry": Prosody(pitch=3.0, span=0.6, slope=-1.5, rate=0.25, energy=6, tilt=-8, breath=-0.03),
    "happy": Prosody(pitch=4.5, span=0.8, slope=0.5, rate=0.15, energy=3, tilt=-2.5, smile=0.14),
    "sad": Prosody(pitch=-2.5, span=-0.9, slope=-2.0, rate=-0.35, energy=-6, tilt=8, breath=0.12),
    "worried": Prosody(pitch=1.5, span=-0.2, slope=0.0, rate=0.05, energy=-2, tilt=1.0, breath=0.32, tremor=0.7),
    "surprise": Prosody(pitch=7.0, span=1.1, slope=1.0, final=5.0, rate=-0.1, energy=3, tilt=-3, breath=0.08),
}
# How much a neutral utterance of one speaker differs from the next.
SPREAD = Prosody(
    pitch=0.6, span=0.15, slope=0.4, final=0.4, rate=0.06, energy=1.2, tilt=0.6, breath=0.02, tremor=0.06, smile=0.008
)


def draw_prosody(rng: np.random.Generator, emotion: str, knobs: VoiceKnobs) -> Prosody:
    """Prosody between neutral and the emotion's own, with what varies for no reason."""
    strength = rng.uniform(*knobs.intensity)
    neutral, target = PROSODY["neutral"], PROSODY[emotion]
    values = {}
    for field in fields(Prosody):
        start, end, spread = (getattr(source, field.name) for source in (neutral, target, SPREAD))
        values[field.name] = start + strength * (end - start) + rng.normal(0, spread)
    return Prosody(**values)
