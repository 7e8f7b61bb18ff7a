"""What a form of an emotion does to face, voice and words, over many clips."""

import numpy as np
import pytest

from sample.action_units import PROTOTYPES, draw_resting_face, draw_tracks
from sample.forms import CLASS_OF, FORMS, Expression
from sample.phonemes import draw_boundaries, syllables
from sample.prosody import PROSODY, draw_prosody
from sample.sentences import ANY, BY_FORM
from sample.voice import RATE, Speaker, speak

SPEAKER = Speaker(pitch=120.0, formants=(1.0,) * 4, rate=5.0, jitter=0.005, shimmer=0.03, breath=0.02)
SPOKEN = syllables("这件事真没想到")


def mean_activation(params, form, unit, strength=0.9, resting=None):
    rng = np.random.default_rng(0)
    shown = Expression(form, strength)
    return np.mean(
        [draw_tracks(rng, shown, resting or {}, np.zeros(24), 12, params.face)[unit].mean() for _ in range(40)]
    )


@pytest.mark.parametrize(
    ("form", "unit"), [("elation", 12), ("grief", 15), ("cold anger", 23), ("panic", 20), ("shock", 5)]
)
def test_a_face_moves_the_units_of_its_form(params, form, unit):
    assert mean_activation(params, form, unit) > 3 * mean_activation(params, "neutral", unit)


def test_a_faint_expression_moves_the_face_less(params):
    assert mean_activation(params, "elation", 12, 0.2) < 0.5 * mean_activation(params, "elation", 12, 0.9)


def test_a_face_at_rest_is_the_speakers_own(params):
    first, second = (draw_resting_face(np.random.default_rng(seed), params.face) for seed in (1, 2))
    assert first == draw_resting_face(np.random.default_rng(1), params.face) != second
    drooping = mean_activation(params, "neutral", 15, resting={15: 0.4})
    assert drooping > mean_activation(params, "neutral", 15) + 0.3


def test_every_form_has_a_face_a_voice_and_sentences_of_its_own():
    for table in (PROTOTYPES, PROSODY, BY_FORM):
        assert table.keys() == CLASS_OF.keys()
    sentences = [chinese for templates in (*BY_FORM.values(), ANY) for chinese, _ in templates]
    assert len(sentences) == len(set(sentences))
    assert Expression("unease", 1.0).emotion == "worried"
    assert all(CLASS_OF[form] == emotion for emotion, forms in FORMS.items() for form in forms)


def test_prosody_at_strength_nought_is_neutral_and_at_one_the_forms_own():
    drawn = {
        strength: np.mean(
            [draw_prosody(np.random.default_rng(i), Expression("elation", strength)).pitch for i in range(200)]
        )
        for strength in (0.0, 1.0)
    }
    assert drawn[0.0] == pytest.approx(0.0, abs=0.2)
    assert drawn[1.0] == pytest.approx(PROSODY["elation"].pitch, abs=0.2)
    silent = np.mean([draw_prosody(np.random.default_rng(i), None).pitch for i in range(200)])
    assert silent == pytest.approx(drawn[0.0])


def spoken_as(form, seed=0):
    rng = np.random.default_rng(seed)
    boundaries, seconds = draw_boundaries(rng, len(SPOKEN), SPEAKER.rate, (1.5, 3.0))
    return speak(rng, SPEAKER, PROSODY[form], SPOKEN, boundaries, seconds)


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


def test_elation_is_higher_and_louder_than_grief():
    elation, grief = spoken_as("elation"), spoken_as("grief")
    assert pitch(elation) > 1.25 * pitch(grief)
    assert np.std(elation) > 2 * np.std(grief)


def test_a_sentence_too_long_for_a_clip_is_spoken_faster():
    boundaries, seconds = draw_boundaries(np.random.default_rng(0), 40, 5.0, (1.5, 3.0))
    assert boundaries[-1] < seconds <= 3.0 + 1e-9
