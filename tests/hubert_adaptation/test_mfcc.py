import numpy as np
import pytest

from mer.hubert_adaptation.mfcc import deltas, mfcc, mfcc_with_deltas

RNG = np.random.default_rng(0)
WAVEFORM = np.sin(2 * np.pi * 440 * np.arange(2000) / 16000) * 0.3 + RNG.normal(0, 0.01, 2000)


def slow_mfcc_of_one_frame(frame):
    """Kaldi's feature-window.cc, feature-mfcc.cc and mel-computations.cc, literally."""
    frame = [x - sum(frame) / 400 for x in frame]
    emphasised = [frame[i] - 0.97 * frame[max(i - 1, 0)] for i in range(400)]
    windowed = [x * (0.5 - 0.5 * np.cos(2 * np.pi * i / 399)) ** 0.85 for i, x in enumerate(emphasised)]
    power = []
    for k in range(257):
        turn = np.exp(-2j * np.pi * k * np.arange(400) / 512)
        power.append(abs(np.sum(np.array(windowed) * turn)) ** 2)
    to_mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    low, high = to_mel(20.0), to_mel(8000.0)
    step = (high - low) / 24
    log_mel = []
    for b in range(23):
        left, centre, right = low + b * step, low + (b + 1) * step, low + (b + 2) * step
        energy = 0.0
        for k in range(257):
            mel = to_mel(k * 16000 / 512)
            if left < mel < right:
                energy += power[k] * ((mel - left) / step if mel <= centre else (right - mel) / step)
        log_mel.append(np.log(energy))
    coefficients = []
    for c in range(13):
        scale = np.sqrt((1 if c == 0 else 2) / 23)
        cepstrum = scale * sum(log_mel[b] * np.cos(np.pi / 23 * (b + 0.5) * c) for b in range(23))
        coefficients.append(cepstrum * (1 + 11 * np.sin(np.pi * c / 22)))
    return coefficients


def test_equals_kaldis_formulas_frame_by_frame():
    values = mfcc(WAVEFORM)
    assert values.shape == (11, 13)
    for frame in (0, 5, 10):
        np.testing.assert_allclose(values[frame], slow_mfcc_of_one_frame(WAVEFORM[frame * 160 :][:400]), rtol=1e-9)


def test_deltas_are_the_regression_slope_with_repeated_ends():
    values = RNG.normal(size=(6, 2))
    padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
    slopes = [np.polyfit([-2, -1, 0, 1, 2], padded[t : t + 5], 1)[0] for t in range(6)]
    np.testing.assert_allclose(deltas(values), slopes, atol=1e-12)


def test_digital_silence_is_finite():
    assert np.isfinite(mfcc_with_deltas(np.zeros(800, np.float32))).all()


def test_a_waveform_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="399"):
        mfcc_with_deltas(np.zeros(399, np.float32))
