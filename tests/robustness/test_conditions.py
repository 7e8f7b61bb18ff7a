"""Conditions do what their names say, and the same to the same clip every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer.params import RobustnessParams, parse_params
from mer.robustness import picture, sound
from mer.robustness.conditions import Condition, conditions

RNG = np.random.default_rng(0)
SPEECH = (0.1 * RNG.standard_normal(16_000)).astype(np.float32)
VOICES = [(0.1 * RNG.standard_normal(n)).astype(np.float32) for n in (9_000, 20_000, 4_000)]
NOISES = {"babble": ("b", VOICES), "files": ("f", VOICES[:1])}


def ratio(clean: np.ndarray, noisy: np.ndarray) -> float:
    """SNR in dB, measured."""
    noise = noisy.astype(np.float64) - clean
    return 10 * np.log10(np.mean(clean.astype(np.float64) ** 2) / np.mean(noise**2))


@pytest.mark.parametrize("kind", ["white", "pink", "babble", "files"])
@pytest.mark.parametrize("snr", [20.0, 5.0, 0.0, -5.0])
def test_noise_has_the_snr_that_is_asked_for(kind, snr):
    condition = Condition(kind, snr, (), 0, "x", VOICES)
    assert ratio(SPEECH, condition.waveform(SPEECH, "clip")) == pytest.approx(snr, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.floats(-20, 40), st.floats(1e-3, 1.0), st.integers(2, 4000))
def test_any_snr_holds_at_any_level_and_length(snr, level, samples):
    speech = (level * np.sin(np.arange(1, samples + 1))).astype(np.float32)
    noisy = sound.add_noise(speech, sound.pink(samples, np.random.default_rng(1)), snr)
    assert ratio(speech, noisy) == pytest.approx(snr, abs=0.1)


def test_mer_noise_lies_between_5_and_10_db():
    found = [ratio(SPEECH, Condition("MER-NOISE", noises=VOICES).waveform(SPEECH, f"clip{i}")) for i in range(30)]
    assert 5 <= min(found) < 6.5
    assert 8.5 < max(found) <= 10


def test_pink_noise_falls_by_three_decibels_an_octave():
    power = np.abs(np.fft.rfft(sound.pink(2**18, np.random.default_rng(0)))) ** 2
    octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(6, 16)]
    assert np.diff(10 * np.log10(octaves)).mean() == pytest.approx(-3.01, abs=0.1)
    flat = np.abs(np.fft.rfft(sound.white(2**18, np.random.default_rng(0)))) ** 2
    assert np.diff(10 * np.log10([flat[2**k : 2 ** (k + 1)].mean() for k in range(6, 16)])).mean() == pytest.approx(
        0, abs=0.2
    )


def test_silence_stays_silent_and_an_empty_clip_empty():
    white = Condition("white", 0.0)
    assert not white.waveform(np.zeros(100, np.float32), "c").any()
    assert len(white.waveform(np.zeros(0, np.float32), "c")) == 0
    assert Condition("babble", 0.0).waveform(SPEECH, "c").any()  # a corpus without a voice


def test_a_clip_gets_the_same_noise_whenever_it_is_asked_for_and_another_clip_another():
    first, again = (Condition("white", 5.0).waveform(SPEECH, "a") for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, Condition("white", 5.0).waveform(SPEECH, "b"))
    assert not np.array_equal(first, Condition("white", 5.0, seed=1).waveform(SPEECH, "a"))
    louder = Condition("white", 0.0).waveform(SPEECH, "a") - SPEECH
    assert np.corrcoef(first - SPEECH, louder)[0, 1] == pytest.approx(1, abs=1e-4)


def test_fingerprints_tell_conditions_apart():
    every = conditions(RobustnessParams(), ("audio", "face", "text"), NOISES)
    touching = [one for one in every if one.touches]
    assert len({one.fingerprint for one in touching}) == len(touching)
    base = Condition("babble", 5.0, (), 0, "voices")
    assert base.fingerprint != Condition("babble", 5.0, (), 1, "voices").fingerprint
    assert base.fingerprint != Condition("babble", 5.0, (), 0, "others").fingerprint


def test_pictures_lose_what_they_are_to_lose():
    image = RNG.integers(0, 256, (120, 160, 3)).astype(np.uint8)
    for share in (0.1, 0.5):
        hidden = picture.occlude(image, share, (0.3, 1.0))
        assert (hidden != image).any(axis=2).mean() == pytest.approx(share, abs=0.03)
    sharp = [np.abs(np.diff(one.astype(float), axis=1)).mean() for one in (image, picture.blur(image, 0.01))]
    assert sharp[1] < 0.5 * sharp[0]
    rough = picture.lower_resolution(image, 8)
    assert rough.shape == image.shape
    assert np.abs(np.diff(rough.astype(float), axis=1)).mean() < 0.2 * sharp[0]
    np.testing.assert_array_equal(picture.lower_resolution(image, 1), image)


def test_every_frame_of_a_clip_is_covered_at_the_same_place():
    images = [RNG.integers(0, 100, (60, 80, 3)).astype(np.uint8) for _ in range(3)]
    found = Condition("occlusion", 0.25).images(images, "clip")
    covered = [(one == picture.GREY).all(axis=2) for one in found]
    assert covered[0].any()
    assert all(np.array_equal(covered[0], one) for one in covered)


@pytest.mark.parametrize("text", [" ".join(f"word{i}" for i in range(400)), "字" * 200 + "词" * 200])
def test_the_asked_share_of_words_is_lost_in_order(text):
    found = Condition("dropped words", 0.4).text(text)
    units, kept = (one.split() if " " in text else list(one) for one in (text, found))
    assert len(kept) / len(units) == pytest.approx(0.6, abs=0.08)
    at = iter(units)
    assert all(unit in at for unit in kept)
    assert Condition("dropped words", 0.4).text("") == ""


def test_conditions_are_those_that_the_modalities_can_meet():
    names = [one.name for one in conditions(RobustnessParams(), ("audio", "text"), NOISES)]
    assert names[0] == "clean"
    assert {"white 5", "dropped words 0.4", "without audio", "without text", "MER-NOISE"} <= set(names)
    assert not [name for name in names if "blur" in name or " and " in name]
    three = [one.name for one in conditions(RobustnessParams(), ("audio", "face", "text"), NOISES)]
    assert {"without audio and face", "blur 0.01", "occlusion 0.5"} <= set(three)
    assert "without audio and face and text" not in three
    assert [one.name for one in conditions(RobustnessParams(), ("text",), NOISES) if one.absent] == []


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"snr": [5, 5]}, "robustness.snr must name each value once"),
        ({"occlusion": [1.5]}, r"'robustness.occlusion.0'"),
        ({"training": []}, "'robustness.training'"),
        ({"noise": ["brown"]}, "'robustness.noise.0'"),
        ({"snr": [float("nan")]}, "'robustness.snr"),
    ],
)
def test_params_without_sense_are_refused(section, message):
    from mer.errors import MerError

    with pytest.raises(MerError, match=message):
        parse_params({"robustness": section})
