"""Noise on waveforms: white, pink, babble of the corpus' own speakers, or recordings, at a given SNR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

VOICES = 6
"""Speakers that talk at once in babble: with fewer, single words are understood."""


def add_noise(speech: Wave, noise: Wave, snr: float) -> Wave:
    """Speech with noise of the same length, at an SNR in dB: the ratio of their mean powers over the whole clip.

    Silence stays silent: it has no power to be related to.
    """
    power, theirs = (float(np.mean(np.square(one, dtype=np.float64))) if len(one) else 0.0 for one in (speech, noise))
    if not power or not theirs:
        return speech
    gain = np.sqrt(power / theirs / 10 ** (snr / 10))
    return (speech + gain * noise).astype(np.float32)


def white(samples: int, rng: np.random.Generator) -> Wave:
    """Gaussian noise of the same power at every frequency."""
    return rng.standard_normal(samples).astype(np.float32)


def pink(samples: int, rng: np.random.Generator) -> Wave:
    """Gaussian noise whose power falls as 1/f, shaped in the spectrum; without a constant part."""
    if samples < 2:
        return white(samples, rng)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    steps = np.arange(len(spectrum), dtype=np.float64)
    spectrum *= np.where(steps > 0, 1 / np.sqrt(np.maximum(steps, 1)), 0)
    return np.fft.irfft(spectrum, samples).astype(np.float32)


def babble(samples: int, voices: Sequence[Wave], rng: np.random.Generator) -> Wave:
    """Several of the voices at once, each at the same level and from a place of its own, repeated where too short."""
    heard = [voice for voice in voices if len(voice) and np.any(voice)]
    if not heard:
        return white(samples, rng)
    chosen = rng.permutation(len(heard))[:VOICES]
    return np.sum([_level(looped(heard[i], samples, rng)) for i in chosen], axis=0, dtype=np.float32)


def looped(wave: Wave, samples: int, rng: np.random.Generator) -> Wave:
    """So many samples of a recording from a random place on, from its beginning again where it ends."""
    start = int(rng.integers(len(wave)))
    return np.resize(np.roll(wave, -start), samples)


def _level(wave: Wave) -> Wave:
    power = float(np.mean(np.square(wave, dtype=np.float64))) if len(wave) else 0.0
    return wave / np.float32(np.sqrt(power)) if power else wave
