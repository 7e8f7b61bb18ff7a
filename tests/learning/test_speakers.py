"""Speakers guessed from features."""

import numpy as np
import pytest

from mer.learning.speakers import guess_speakers


def voices(speakers=4, clips=200, seed=0):
    rng = np.random.default_rng(seed)
    own = np.arange(clips) % speakers
    return (4 * rng.normal(size=(speakers, 20))[own] + rng.normal(size=(clips, 20))).astype(np.float32), own


def test_clips_of_a_speaker_come_together():
    x, own = voices()
    found = guess_speakers("audio", x, np.ones(200, bool), 4, 0)(x, np.ones(200, bool))
    assert len({(a, b) for a, b in zip(own, found, strict=True)}) == 4


def test_an_absent_clip_belongs_to_no_one():
    x, _ = voices()
    present = np.arange(200) % 3 > 0
    found = guess_speakers("audio", x, present, 4, 0)(x, present)
    assert (found[~present] == -1).all()
    assert (found[present] >= 0).all()


@pytest.mark.parametrize("clips", [0, 1, 3])
def test_fewer_clips_than_speakers_are_no_fault(clips):
    x, _ = voices()
    present = np.arange(200) < clips
    assert guess_speakers("audio", x, present, 8, 0)(x, present).max() <= max(0, clips - 1)


def test_clips_that_are_all_alike_are_no_fault():
    x = np.ones((30, 5), np.float32)
    assert set(guess_speakers("audio", x, np.ones(30, bool), 4, 0)(x, np.ones(30, bool))) == {0}
