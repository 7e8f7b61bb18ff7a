"""Mel-frequency cepstral coefficients with deltas, as Kaldi computes them: what HuBERT's first units are made of."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from mer.media.rate import SAMPLE_RATE as RATE

Array = NDArray[np.float64]

WINDOW, HOP, FFT = 400, 160, 512
"""25 ms windows every 10 ms."""
MEL_BINS, COEFFICIENTS, LIFTER = 23, 13, 22
PREEMPHASIS = 0.97


def mfcc_with_deltas(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """Coefficients and their first and second deltas, [frames, 39], of a waveform [samples] at 16 kHz.

    Frame t covers samples 160 t to 160 t + 400: every second frame is a frame of HuBERT. Equal to
    `torchaudio.compliance.kaldi.mfcc(use_energy=False)` followed by `compute_deltas` twice, as in fairseq's
    `examples/hubert/simple_kmeans/dump_mfcc_feature.py`.

    Raises:
        ValueError: the waveform is not one-dimensional, or shorter than one window.
    """
    if waveform.ndim != 1 or len(waveform) < WINDOW:
        raise ValueError(f"waveform is {list(waveform.shape)}, not [samples] with at least {WINDOW}")
    static = mfcc(waveform)
    first = deltas(static)
    return np.concatenate([static, first, deltas(first)], axis=1).astype(np.float32)


def mfcc(waveform: NDArray[np.floating]) -> Array:
    """Liftered coefficients 0 to 12, [frames, 13]."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), WINDOW)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft((frames - PREEMPHASIS * before) * _povey(), FFT)) ** 2
    mel = np.log(np.maximum(power @ _mel_bank().T, np.finfo(np.float32).eps))
    lifter = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    return dct(mel, type=2, norm="ortho", axis=1)[:, :COEFFICIENTS] * lifter


def deltas(values: Array) -> Array:
    """Regression slope over five frames [frames, D]; the first and last frames repeat beyond the ends."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return (2 * (padded[4:] - padded[:-4]) + (padded[3:-1] - padded[1:-3])) / 10


@functools.cache
def _povey() -> Array:
    """Kaldi's own window: a Hann window to the power 0.85."""
    return np.hanning(WINDOW) ** 0.85


@functools.cache
def _mel_bank() -> Array:
    """Triangles of equal width on the mel scale from 20 Hz to 8 kHz, [bins, FFT / 2 + 1]."""
    edges = np.linspace(_mel(20.0), _mel(RATE / 2), MEL_BINS + 2)[:, None]
    points = _mel(np.arange(FFT // 2 + 1) * RATE / FFT)
    rising = (points - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - points) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(hertz: float | Array) -> Array:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)
