"""A source-filter speech synthesiser.

Voiced sound is a sum of formant wave functions: each glottal pulse starts one damped sinusoid a formant, which is
the impulse response of a bank of parallel resonators (Rodet 1984), so that pitch and formants may change at every
pulse and nothing runs sample by sample. Frication and breath are filtered noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from sample.phonemes import NASAL, Syllable
from sample.prosody import Prosody

Signal = NDArray[np.float64]

RATE = 16000
CONTROL = 200
"""Control values a second."""
BANDWIDTHS = np.array([80.0, 100.0, 140.0, 200.0])
AMPLITUDES = np.array([1.0, 0.55, 0.30, 0.15])
RESPONSE = int(0.02 * RATE)
"""Samples that a pulse rings."""


@dataclass(frozen=True)
class Speaker:
    """A voice: base pitch in Hz, formants relative to a male vocal tract, habits of jitter and shimmer."""

    pitch: float
    formants: tuple[float, ...]
    rate: float
    jitter: float
    shimmer: float
    breath: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    female = rng.random() < 0.5
    return Speaker(
        pitch=float((205 if female else 118) * 2 ** rng.normal(0, 0.2)),
        formants=tuple((1.16 if female else 1.0) * rng.normal(1, 0.06) * rng.normal(1, 0.07, 4)),
        rate=rng.uniform(4.6, 5.6),
        jitter=rng.uniform(0.005, 0.02),
        shimmer=rng.uniform(0.03, 0.12),
        breath=rng.uniform(0.02, 0.06),
    )


def speak(
    rng: np.random.Generator,
    speaker: Speaker,
    prosody: Prosody,
    spoken: list[Syllable],
    boundaries: Signal,
    seconds: float,
) -> Signal:
    """A waveform [samples] at 16 kHz; syllable i sounds from `boundaries[i]` to `boundaries[i + 1]` seconds."""
    time = np.arange(int(seconds * CONTROL)) / CONTROL
    where = np.clip(np.searchsorted(boundaries, time, side="right") - 1, 0, len(spoken) - 1)
    within = np.clip((time - boundaries[where]) / np.diff(boundaries)[where], 0, 1)
    sounding = (time >= boundaries[0]) & (time < boundaries[-1])
    pitch = _pitch(rng, speaker, prosody, spoken, where, within, time)
    formants = _formants(spoken, where, within) * np.array(speaker.formants) * (1 + prosody.smile)
    loudness = np.sin(np.pi * np.clip(0.12 + 0.88 * within, 0, 1)) ** 0.6 * sounding
    voiced = np.array([s.onset.voiced for s in spoken])[where]
    voicing = loudness * np.where(within < 0.28, voiced, 1.0)
    voicing = gaussian_filter1d(voicing, 0.012 * CONTROL)

    breath = float(np.clip(speaker.breath + prosody.breath, 0, 0.4))
    voice = _pulses(rng, speaker, pitch, formants, voicing, prosody.tilt, int(seconds * RATE))
    aspiration = _aspiration(rng, formants.mean(axis=0), voicing, len(voice))
    frication = _frication(rng, spoken, boundaries, len(voice))
    return 10 ** (prosody.energy / 20) * (voice + breath * aspiration + 0.35 * frication)


def _pitch(
    rng: np.random.Generator,
    speaker: Speaker,
    prosody: Prosody,
    spoken: list[Syllable],
    where: NDArray[np.intp],
    within: Signal,
    time: Signal,
) -> Signal:
    """Fundamental frequency in Hz at the control rate: tones on a declining line, as the prosody has it."""
    tones = np.array([s.tone for s in spoken])[where]
    rows = np.arange(len(time))
    position = within * (tones.shape[1] - 1)
    left = np.minimum(position.astype(int), tones.shape[1] - 2)
    tone = tones[rows, left] + (position - left) * (tones[rows, left + 1] - tones[rows, left])
    accent = rng.normal(0, 0.8, len(spoken))[where]
    last = (where == len(spoken) - 1) * within
    semitones = (
        prosody.pitch
        + 2**prosody.span * gaussian_filter1d(tone + accent, 0.02 * CONTROL)
        + prosody.slope * (time - time[-1] / 2)
        + prosody.final * last
        + prosody.tremor * np.sin(2 * np.pi * 6.0 * time + rng.uniform(0, 2 * np.pi))
    )
    return speaker.pitch * 2 ** (semitones / 12)


def _formants(spoken: list[Syllable], where: NDArray[np.intp], within: Signal) -> Signal:
    """Formant frequencies [control values, 4] that glide from vowel to vowel, and into a nasal where there is one."""
    vowels = np.array([s.vowel for s in spoken], float)[where]
    nasal = np.array([s.nasal for s in spoken])[where] & (within > 0.7)
    return gaussian_filter1d(np.where(nasal[:, None], NASAL, vowels), 0.02 * CONTROL, axis=0)


def _pulses(
    rng: np.random.Generator,
    speaker: Speaker,
    pitch: Signal,
    formants: Signal,
    voicing: Signal,
    tilt: float,
    samples: int,
) -> Signal:
    """Sum the formant wave functions of all glottal pulses."""
    phase = np.concatenate([[0.0], np.cumsum(pitch) / CONTROL])
    whole = np.arange(1, int(phase[-1]))
    jittered = whole + rng.normal(0, speaker.jitter, len(whole))
    start = np.interp(jittered, phase, np.arange(len(phase)) / CONTROL)
    control = np.minimum((start * CONTROL).astype(int), len(pitch) - 1)
    gain = voicing[control] * (1 + speaker.shimmer * rng.normal(0, 1, len(start)))
    kept = gain > 1e-3
    start, control, gain = start[kept], control[kept], gain[kept]

    first = np.ceil(start * RATE).astype(int)
    offset = first / RATE - start  # [pulses], from the pulse to its first sample
    later = np.arange(RESPONSE) / RATE
    frequency = formants[control]  # [pulses, 4]
    level = AMPLITUDES * 10 ** (-tilt * np.log2(np.maximum(frequency / 500, 0.5)) / 20)
    ringing = np.zeros((len(start), RESPONSE), np.float32)
    for k in range(frequency.shape[1]):
        phases = 2 * np.pi * frequency[:, k, None] * (offset[:, None] + later)
        # Each decay is a product of what passed before the first sample and after: no exponential a pulse and sample.
        ringing += np.sin(phases.astype(np.float32)) * _decay(np.pi * BANDWIDTHS[k], offset, level[:, k], later)
    ringing *= 1 - _decay(3000.0, offset, np.ones(len(start)), later)
    ringing *= gain[:, None].astype(np.float32)
    at = first[:, None] + np.arange(RESPONSE)
    voice = np.bincount(at.ravel(), ringing.ravel(), minlength=samples + RESPONSE)
    return voice[:samples].astype(np.float64)


def _decay(rate: float, offset: Signal, level: Signal, later: Signal) -> NDArray[np.float32]:
    """exp(-rate * time) [pulses, response] times each pulse's level, at `offset` + `later` seconds."""
    return np.outer(level * np.exp(-rate * offset), np.exp(-rate * later)).astype(np.float32)


def _aspiration(rng: np.random.Generator, formants: Signal, voicing: Signal, samples: int) -> Signal:
    """Breath: noise through the average vocal tract, as loud as the voice."""
    noise = rng.normal(0, 1, samples)
    bands = [_resonate(noise, f, 3 * b) for f, b in zip(formants[1:], BANDWIDTHS[1:], strict=True)]
    return np.sum(bands, axis=0) * np.interp(np.arange(samples) / RATE, np.arange(len(voicing)) / CONTROL, voicing)


def _frication(rng: np.random.Generator, spoken: list[Syllable], boundaries: Signal, samples: int) -> Signal:
    """Noise of the fricative and stop onsets, in the first quarter of their syllables."""
    signal = np.zeros(samples)
    for syllable, begin, end in zip(spoken, boundaries, boundaries[1:], strict=False):
        onset = syllable.onset
        if onset.noise == 0.0:
            continue
        length = 0.02 if onset.burst else 0.25 * (end - begin)
        first = int((begin + (0.2 * (end - begin) if onset.burst else 0)) * RATE)
        noise = rng.normal(0, onset.noise, int(length * RATE)) * np.hanning(int(length * RATE))
        noise = _resonate(noise, onset.centre, onset.bandwidth)[: samples - first]
        signal[first : first + len(noise)] += noise
    return signal


def _resonate(signal: Signal, frequency: float, bandwidth: float) -> Signal:
    """A second-order resonator with about unit noise gain."""
    radius = np.exp(-np.pi * bandwidth / RATE)
    cosine = np.cos(2 * np.pi * min(frequency, 0.45 * RATE) / RATE)
    return np.sqrt(1 - radius**2) * lfilter([1.0, 0.0, -1.0], [1.0, -2 * radius * cosine, radius**2], signal) / 2
