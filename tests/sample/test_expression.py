"""What an emotion does to face and voice, over many clips."""

import numpy as np
import pytest

from sample.action_units import draw_tracks
from sample.phonemes import draw_boundaries, syllables
from sample.prosody import PROSODY
from sample.voice import RATE, Speaker, speak

SPEAKER = Speaker(pitch=120.0, formants=(1.0,) * 4, rate=5.0, jitter=0.005, shimmer=0.03, breath=0.02)
SPOKEN = syllables("这件事真没想到")


def mean_activation(params, emotion, unit):
    rng = np.random.default_rng(0)
    return np.mean([draw_tracks(rng, emotion, np.zeros(24), 12, params.face)[unit].mean() for _ in range(40)])


@pytest.mark.parametrize(
    ("emotion", "unit"), [("happy", 12), ("sad", 15), ("angry", 23), ("worried", 20), ("surprise", 5)]
)
def test_a_face_moves_the_units_of_its_class(params, emotion, unit):
    assert mean_activation(params, emotion, unit) > 3 * mean_activation(params, "neutral", unit)


def spoken_as(emotion, seed=0):
    rng = np.random.default_rng(seed)
    boundaries, seconds = draw_boundaries(rng, len(SPOKEN), SPEAKER.rate, (1.5, 3.0))
    return speak(rng, SPEAKER, PROSODY[emotion], SPOKEN, boundaries, seconds)


def pitch(waveform):
    """Median over voiced windows of the autocorrelation peak, in Hz."""
    found = []
    for start in range(0, len(waveform) - 1024, 512):
        window = waveform[start : start + 1024]
        correlation = np.correlate(window, window, "full")[1023:]
        lag = 40 + int(np.argmax(correlation[40:230]))
        if correlation[lag] > 0.5 * correlation[0] > 0:
            found.append(RATE / lag)
    return np.median(found)


def test_a_neutral_voice_speaks_at_the_speakers_pitch():
    assert pitch(spoken_as("neutral")) == pytest.approx(SPEAKER.pitch, rel=0.15)


def test_happy_is_higher_and_louder_than_sad():
    happy, sad = spoken_as("happy"), spoken_as("sad")
    assert pitch(happy) > 1.25 * pitch(sad)
    assert np.std(happy) > 2 * np.std(sad)


def test_a_sentence_too_long_for_a_clip_is_spoken_faster():
    boundaries, seconds = draw_boundaries(np.random.default_rng(0), 40, 5.0, (1.5, 3.0))
    assert boundaries[-1] < seconds <= 3.0 + 1e-9
