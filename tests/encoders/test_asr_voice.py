"""Where there is something to hear, and where words begin and end."""

from itertools import pairwise

import numpy as np
import pytest

from mer.encoders.asr.transcript import Word
from mer.encoders.asr.voice import HOP, RATE, spans
from mer.encoders.asr.words import timed_words

WINDOW = 30 * RATE


def sound(*parts, seed=0):
    """A waveform of (seconds, amplitude) parts of noise."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=int(s * RATE)).astype(np.float32) * a for s, a in parts])


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(1), np.zeros(5 * RATE), sound((3, 1e-5))])
def test_silence_has_no_span(waveform):
    assert spans(waveform.astype(np.float32), WINDOW) == []


def test_silence_around_speech_is_skipped_and_a_pause_within_is_kept():
    (span,) = spans(sound((4, 1e-5), (1, 0.1), (1, 1e-5), (2, 0.1), (4, 1e-5)), WINDOW)
    assert np.allclose(np.array(span) / RATE, [3.8, 8.2], atol=0.05)


def test_noise_of_the_room_is_silence_beside_speech():
    (span,) = spans(sound((2, 0.001), (1, 0.1), (2, 0.001)), WINDOW)
    assert np.allclose(np.array(span) / RATE, [1.8, 3.2], atol=0.05)


def test_speech_longer_than_a_window_is_cut_in_a_pause():
    waveform = sound((20, 0.1), (0.4, 1e-5), (20, 0.1), (0.4, 1e-5), (20, 0.1))
    found = spans(waveform, WINDOW)
    assert max(stop - start for start, stop in found) <= WINDOW
    assert np.allclose([start / RATE for start, _ in found], [0, 20.2, 40.6], atol=0.25)
    assert found[-1][1] == len(waveform)


def test_speech_without_a_pause_is_cut_where_it_is_quietest_and_nothing_is_lost():
    waveform = sound((24, 0.1), (0.1, 0.02), (40, 0.1))
    found = spans(waveform, WINDOW)
    assert found[0][0] == 0
    assert 24 * RATE <= found[0][1] <= 24.2 * RATE
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert found[-1][1] == len(waveform)
    assert max(stop - start for start, stop in found) <= WINDOW


@pytest.mark.parametrize("samples", [1, HOP - 1, HOP + 1, 5000])
def test_the_shortest_sounds_lie_within_their_clip(samples):
    assert spans(np.resize(np.float32([0.5, -0.5]), samples), WINDOW) == [(0, samples)]


def words_of(pieces, times, end):
    """Words of tokens that stand for bytes, each of which is said until the next begins."""
    return timed_words(
        range(len(pieces)),
        list(pairwise([*times, end])),
        lambda t: b"".join(pieces[i] for i in t).decode(errors="replace"),
    )


def texts_of(*pieces):
    found = words_of([piece.encode() for piece in pieces], [0.1 * place for place in range(len(pieces))], 9.0)
    return [word.text for word in found]


def test_words_begin_at_spaces_and_keep_their_punctuation():
    pieces = [b" I", b" rea", b"lly", b",", b" do", b"."]
    assert words_of(pieces, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1.2) == (
        Word("I", 0.0, 0.2),
        Word("really,", 0.2, 0.8),
        Word("do.", 0.8, 1.2),
    )


def test_chinese_characters_are_words_even_when_split_over_tokens():
    a, b = "好".encode(), "难".encode()
    pieces = [a[:1], a[1:], b, "。".encode(), b" OK", b"ay"]
    assert words_of(pieces, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 0.6) == (
        Word("好", 0.0, 0.2),
        Word("难。", 0.2, 0.4),
        Word("OKay", 0.4, 0.6),
    )


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["He", " said", ' "', "no", " way", '"', " (", "tw", "ice", ")."], ["He", "said", '"no', 'way"', "(twice)."]),
        (["¿", "Qué", " tal", "?", " ¡", "Muy", " bien", "!"], ["¿Qué", "tal?", "¡Muy", "bien!"]),
        (["আ", "মি", " ", "ভা", "লো"], ["আমি", "ভালো"]),
        (["他", "说", "「", "好", "」", "。"], ["他", "说", "「好」。"]),
        (["ไ", "ป", " ", "ท", "ี่"], ["ไ", "ป", "ที่"]),
        (["yes", " -", " no", " "], ["yes", "-", "no"]),
        ([" 1", ",", "000", " km"], ["1,000", "km"]),
        (["a\u00a0", "b"], ["a", "b"]),
    ],
)
def test_words_are_set_apart_as_they_are_written(pieces, words):
    assert texts_of(*pieces) == words


def test_korean_is_set_with_spaces():
    assert [w.text for w in words_of([" 안".encode(), "녕".encode(), " 나".encode()], [0.0, 0.1, 0.2], 0.3)] == [
        "안녕",
        "나",
    ]


def test_broken_bytes_and_no_tokens_give_no_words():
    assert words_of([b"\xe5"], [0.0], 0.1) == ()
    assert words_of([], [], 0.1) == ()
