"""The conditions that a bundle is tried in, and what each does to a clip.

What a clip gets depends on its content, the condition and the seed alone: the same run gives the same bytes, and the
shard cache knows corrupted clips from clean ones by the condition's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.learning.seeds import stream
from mer.params import RobustnessParams
from mer.robustness import picture, sound
from mer.store.keys import digest

REVISION = 1
"""Raise it when the same clip and condition give other bytes than before."""

MER_NOISE_SNR = (5.0, 10.0)
MER_NOISE_SCALES = (1, 2, 4)
"""MER2023's recipe for its noisy test set (Lian et al. 2023): noise at 5 to 10 dB, frames scaled down and up again."""

ROWS = ["training", "condition", "kind", "level", "clip_id", "predicted"]
"""Columns of the predictions in every condition."""

SOUNDS, PICTURES = ("white", "pink", "babble", "files"), ("blur", "occlusion", "low resolution")
WORDS, MER_NOISE, ABSENT, CLEAN = "dropped words", "MER-NOISE", "absent", "clean"


@dataclass(frozen=True)
class Condition:
    """`kind` and `level`: dB of SNR, a share, a factor; None where the kind has none. `absent` are modalities masked.

    `noises` are the recordings that noise is made of, `source` their digest.
    """

    kind: str
    level: float | None = None
    absent: tuple[str, ...] = ()
    seed: int = 0
    source: str = ""
    noises: Sequence[NDArray[np.float32]] = field(default=(), compare=False, repr=False)

    @property
    def name(self) -> str:
        """For people."""
        if self.absent:
            return "without " + " and ".join(self.absent)
        return self.kind if self.level is None else f"{self.kind} {self.level:g}"

    @property
    def touches(self) -> frozenset[str]:
        """Of audio, face and text, what has to be extracted anew."""
        if self.kind in SOUNDS:
            return frozenset({"audio"})
        if self.kind in PICTURES:
            return frozenset({"face"})
        return frozenset({WORDS: {"text"}, MER_NOISE: {"audio", "face"}}.get(self.kind, set()))

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that decides what a clip gets."""
        return digest("robustness", REVISION, self.kind, self.level, self.seed, self.source)

    def _rng(self, what: str, content: str) -> np.random.Generator:
        # The level is left out: at 20 dB and at 0 dB a clip has the same noise.
        return stream(self.seed, "robustness", self.kind, what, content)

    def waveform(self, wave: NDArray[np.float32], content: str) -> NDArray[np.float32]:
        """The clip's sound, float32 [samples]; `content` is the digest of the clean one."""
        rng = self._rng("sound", content)
        snr = self.level if self.kind != MER_NOISE else rng.uniform(*MER_NOISE_SNR)
        assert snr is not None
        return sound.add_noise(wave, self._noise(len(wave), rng), snr)

    def _noise(self, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        if self.kind == "white":
            return sound.white(samples, rng)
        if self.kind == "pink":
            return sound.pink(samples, rng)
        if self.kind == "files":
            return sound.looped(self.noises[int(rng.integers(len(self.noises)))], samples, rng)
        return sound.babble(samples, self.noises, rng)

    def images(self, images: Sequence[NDArray[np.uint8]], content: str) -> list[NDArray[np.uint8]]:
        """The clip's frames, uint8 [H, W, 3] each; `content` is the digest of the clean ones."""
        rng = self._rng("picture", content)
        if self.kind == "blur":
            return [picture.blur(image, float(self.level or 0)) for image in images]
        if self.kind == "occlusion":
            at = rng.random(2)
            return [picture.occlude(image, float(self.level or 0), (at[0], at[1])) for image in images]
        factor = float(self.level or 1) if self.kind != MER_NOISE else float(rng.choice(MER_NOISE_SCALES))
        return [picture.lower_resolution(image, factor) for image in images]

    def text(self, text: str) -> str:
        """The clip's words, each lost with the probability of the level; characters where it has no blanks."""
        rng, units = self._rng("words", digest(text)), text.split()
        apart = " " if len(units) > 1 else ""
        units = units if apart else list(text)
        draws = rng.random(len(units))
        return apart.join(unit for unit, draw in zip(units, draws, strict=True) if draw >= float(self.level or 0))


def conditions(
    params: RobustnessParams, modalities: Sequence[str], noises: Mapping[str, tuple[str, Sequence[NDArray[np.float32]]]]
) -> list[Condition]:
    """Every condition that params ask for and that the modalities can meet, the clean one first.

    Args:
        noises: for `babble` and `files`, digest and recordings.
    """
    made = [Condition(CLEAN)]
    for kind in [*params.noise, *(["files"] if params.noise_files else [])]:
        source, recordings = noises.get(kind, ("", ()))
        made += [Condition(kind, snr, (), params.seed, source, recordings) for snr in params.snr]
    if params.mer_noise:
        source, recordings = noises.get("files", noises.get("babble", ("", ())))
        made.append(Condition(MER_NOISE, None, (), params.seed, source, recordings))
    levels: dict[str, Sequence[float]] = {
        "blur": params.blur,
        "occlusion": params.occlusion,
        "low resolution": params.low_resolution,
        WORDS: params.dropped_words,
    }
    made += [Condition(kind, level, (), params.seed) for kind, of in levels.items() for level in of]
    if params.absent and len(modalities) > 1:
        most = min(2, len(modalities) - 1)
        lacking = [names for size in range(1, most + 1) for names in combinations(modalities, size)]
        made += [Condition(ABSENT, None, names) for names in lacking]
    there = set(modalities)
    return [one for one in made if not one.touches or one.touches & there]


def as_row(condition: Condition) -> dict[str, Any]:
    """What a table says of a condition."""
    return {"condition": condition.name, "kind": condition.kind, "level": condition.level}
