"""What lies between a voice and the file: reverberation, background noise, the microphone's level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter

from sample.params import VoiceKnobs
from sample.voice import RATE, Signal


def draw_recording(rng: np.random.Generator, voice: Signal, knobs: VoiceKnobs) -> NDArray[np.float32]:
    """Record `voice` in a room of its own; float32 in [-1, 1]."""
    if rng.random() < knobs.reverberant:
        voice = _reverberate(rng, voice)
    noise = _pink(rng, len(voice))
    snr = rng.uniform(*knobs.snr_db) if rng.random() < knobs.noisy else 40.0
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
    gain = 0.2 * 10 ** (rng.normal(0, 2.0) / 20)
    return np.clip(gain * (voice + noise), -1, 1).astype(np.float32)


def _reverberate(rng: np.random.Generator, signal: Signal) -> Signal:
    """An exponentially decaying noise tail of 0.2 to 0.6 s (60 dB) after the direct sound."""
    seconds = rng.uniform(0.2, 0.6)
    time = np.arange(int(seconds * RATE)) / RATE
    tail = rng.normal(0, 1, len(time)) * 10 ** (-3 * time / seconds)
    tail *= rng.uniform(0.3, 0.7) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    return fftconvolve(signal, tail)[: len(signal)]


def _pink(rng: np.random.Generator, samples: int) -> Signal:
    """Noise that falls by 3 dB an octave (Kellet's three-pole filter)."""
    b, a = [0.049922, -0.095994, 0.050613, -0.004409], [1.0, -2.494956, 2.017266, -0.522189]
    return lfilter(b, a, rng.normal(0, 1, samples))
