"""How an emotion changes the voice (Banse & Scherer 1996; Juslin & Laukka 2003, table 7)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sample.forms import Expression


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
    "hot anger": Prosody(pitch=4.0, span=0.7, slope=-1.5, rate=0.25, energy=7, tilt=-8, breath=-0.03),
    "cold anger": Prosody(pitch=0.5, span=-0.3, slope=-2.0, rate=-0.05, energy=2, tilt=-6, breath=-0.03),
    "elation": Prosody(pitch=5.5, span=0.9, slope=0.5, rate=0.2, energy=4, tilt=-3, smile=0.14),
    "contentment": Prosody(pitch=1.0, span=0.3, slope=-0.5, rate=-0.1, energy=-1, tilt=0.5, breath=0.04, smile=0.14),
    "despair": Prosody(pitch=3.5, span=-0.1, slope=-3.0, rate=-0.1, energy=2, tilt=1, breath=0.15, tremor=0.6),
    "grief": Prosody(pitch=-2.5, span=-0.9, slope=-2.0, rate=-0.35, energy=-6, tilt=8, breath=0.12),
    "panic": Prosody(pitch=5.5, span=0.1, slope=1.0, rate=0.35, energy=2, tilt=-1, breath=0.3, tremor=0.5),
    "unease": Prosody(pitch=1.0, span=-0.4, slope=0.0, rate=-0.05, energy=-3, tilt=2, breath=0.25, tremor=0.7),
    "delight": Prosody(pitch=7.0, span=1.1, final=5.0, rate=-0.05, energy=3, tilt=-3, breath=0.05, smile=0.1),
    "shock": Prosody(pitch=5.0, span=0.6, slope=-3.0, final=3.0, rate=-0.3, energy=1, breath=0.2),
}
# How much a neutral utterance of one speaker differs from the next.
SPREAD = Prosody(
    pitch=0.6, span=0.15, slope=0.4, final=0.4, rate=0.06, energy=1.2, tilt=0.6, breath=0.02, tremor=0.06, smile=0.008
)


def draw_prosody(rng: np.random.Generator, expression: Expression | None) -> Prosody:
    """Between neutral and the form's own, with what varies for no reason; neutral where nothing is expressed."""
    strength = expression.strength if expression else 0.0
    neutral, target = PROSODY["neutral"], PROSODY[expression.form if expression else "neutral"]
    values = {}
    for field in fields(Prosody):
        start, end, spread = (getattr(source, field.name) for source in (neutral, target, SPREAD))
        values[field.name] = start + strength * (end - start) + rng.normal(0, spread)
    return Prosody(**values)
