"""Parts of one file are what the whole file holds there, and the file is decoded once."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from mer.media import encode, parts
from mer.media.decode import decode_clip
from mer.media.errors import MediaError, NothingDecodedError, TooLongError
from mer.media.part import Part
from mer.media.parts import PartMedia, decode_parts
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.sandbox import Sandbox
from mer.params import DecodeParams
from tests.media.making import numbered_frame, shown_number, write_clip

PARAMS = DecodeParams(frames=4)
FORMS = {
    "mp4": {"video": "libx264"},
    "mp4 with B-frames": {"video": "libx264", "video_options": {"bf": "3", "g": "30"}},
    "avi": {"video": "mpeg4", "audio": "pcm_s16le", "video_options": {"bf": "2"}},
    "flv": {"video": "flv", "audio": "aac"},
    "ts": {"video": "libx264"},
}
"""Of an AVI the times are not stored: it is decoded from end to end."""


def numbers(media: PartMedia) -> list[int]:
    return [shown_number(encode.image(frame)) for frame in media.frames]


def good(media: PartMedia | MediaError) -> PartMedia:
    assert isinstance(media, PartMedia), media
    return media


@pytest.fixture(params=FORMS)
def clip(request, tmp_path):
    """Six seconds of frames that show their number."""
    return write_clip(tmp_path / f"a.{request.param.split()[0]}", seconds=6.0, **FORMS[request.param])


def test_parts_show_the_frames_at_the_centres_of_their_quarters(clip):
    found = decode_parts(clip, [Part(1.0, 2.0), Part(2.5, 5.7), Part(None, 0.8), Part(5.0)], PARAMS)
    expected = [[28, 34, 40, 46], [72, 92, 112, 132], [2, 7, 12, 17], [128, 134, 140, 146]]
    for media, wanted in zip(map(good, found), expected, strict=True):
        assert np.abs(np.subtract(numbers(media), wanted)).max() <= 1
    assert np.allclose(good(found[1]).timestamps, [0.4, 1.2, 2.0, 2.8], atol=0.05)


def test_the_sound_of_parts_is_that_of_the_whole_file(clip):
    whole = decode_clip(clip, PARAMS).audio
    found = decode_parts(clip, [Part(1.0, 2.0), Part(2.5, 5.5)], PARAMS)
    for media, (start, end) in zip(map(good, found), ((1.0, 2.0), (2.5, 5.5)), strict=True):
        np.testing.assert_array_equal(media.audio, whole[round(start * RATE) : round(end * RATE)])
        assert media.duration == pytest.approx(end - start, abs=0.01)


def test_many_parts_cost_as_many_openings_as_one(clip, monkeypatch):
    opened = []
    monkeypatch.setattr(parts.av, "open", lambda *of, real=av.open, **more: opened.append(of) or real(*of, **more))
    decode_parts(clip, [Part(1.0, 2.0)], PARAMS)
    once = len(opened)
    found = decode_parts(clip, [Part(n / 10, n / 10 + 0.5) for n in range(50)], PARAMS)
    assert len(opened) == 2 * once
    assert all(isinstance(media, PartMedia) and len(media.frames) == 4 for media in found)


def test_halves_are_cut_and_keep_their_own_size(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", seconds=1.0, size=(640, 240))
    whole, left, right = map(
        good, decode_parts(clip, [Part(0.0, 1.0, crop=c) for c in (None, "left", "right")], PARAMS)
    )
    assert [(m.width, m.height) for m in (whole, left, right)] == [(640, 240), (320, 240), (320, 240)]
    images = [encode.image(media.frames[0]) for media in (whole, left, right)]
    assert np.abs(np.hstack(images[1:]).astype(int) - images[0]).mean() < 3


def test_a_half_loses_no_pixels_to_the_limit_on_the_longer_side(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=0.4, size=(640, 240))
    params = DecodeParams(frames=1, max_side=320)
    assert encode.image(good(decode_parts(clip, [Part(crop="left")], params)[0]).frames[0]).shape == (240, 320, 3)
    assert encode.image(good(decode_parts(clip, [Part(0.1)], params)[0]).frames[0]).shape == (120, 320, 3)


def test_the_sound_may_lie_in_a_file_of_its_own(tmp_path):
    video = write_clip(tmp_path / "a.mp4", seconds=2.0, audio=None)
    sound = write_clip(tmp_path / "b.m4a", seconds=0.7, video=None, levels=(0.25, 0.25))
    media = good(decode_parts(video, [Part(0.5, 1.2, sound=str(sound))], PARAMS)[0])
    np.testing.assert_array_equal(media.audio, decode_clip(sound, PARAMS).audio)
    assert len(media.frames) == 4


def test_a_sound_file_that_is_not_there_costs_the_sound_and_no_more(tmp_path):
    video = write_clip(tmp_path / "a.mp4", seconds=1.0)
    media = good(decode_parts(video, [Part(0.0, 1.0, sound=str(tmp_path / "gone.wav"))], PARAMS)[0])
    assert media.audio is None
    assert [note.error for note in media.notes] == ["no_sound"]


def test_what_is_wrong_with_one_part_is_said_of_that_part(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=2.0)
    params = DecodeParams(frames=2, max_seconds=1.5)
    late, long, over, fine = decode_parts(
        clip, [Part(3.0, 4.0), Part(0.0, 1.9), Part(1.0, 9.0), Part(0.0, 1.0)], params
    )
    assert isinstance(late, NothingDecodedError)
    assert "begins at 3 s, the file ends at 2" in str(late)
    assert isinstance(long, TooLongError)
    assert isinstance(over, TooLongError)
    assert good(fine).notes == ()


def test_a_part_that_goes_on_behind_the_end_is_noted(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=2.0)
    media = good(decode_parts(clip, [Part(1.0, 9.0)], PARAMS)[0])
    assert [note.error for note in media.notes] == ["truncated"]
    assert media.duration == pytest.approx(1.0, abs=0.1)


def test_a_file_may_be_longer_than_a_clip_may(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=4.0)
    assert good(decode_parts(clip, [Part(3.0, 3.8)], DecodeParams(frames=2, max_seconds=1.0))[0]).frames


def test_a_part_that_is_all_of_the_file_is_the_file(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", video=None, audio="flac", seconds=1.0)
    whole, part = decode_clip(clip, PARAMS), good(decode_parts(clip, [Part()], PARAMS)[0])
    np.testing.assert_array_equal(part.audio, whole.audio)
    assert part.duration == whole.duration


def test_the_sandbox_gives_the_same_and_survives_a_file_that_is_none(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=2.0)
    (tmp_path / "b.mp4").write_text("no media")
    wanted = [Part(0.0, 1.0, "left"), Part(5.0, 6.0), Part(1.0, 2.0, "right")]
    with Sandbox(PARAMS) as box:
        assert [str(error) for error in box.decode_parts(tmp_path / "b.mp4", wanted)] == [
            "Invalid data found when processing input"
        ] * 3
        first, late, last = box.decode_parts(clip, wanted)
    here = decode_parts(clip, wanted, PARAMS)
    assert first["frames"] == good(here[0]).frames
    assert first["audio"] == encode.flac(good(here[0]).audio)
    assert isinstance(late, MediaError)
    assert last["timestamps"] == good(here[2]).timestamps


@pytest.mark.parametrize("wanted", [[], [Part(0.0, 1.0)]])
def test_a_stub_of_git_lfs_is_called_by_its_name(tmp_path, wanted):
    (tmp_path / "a.flv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(MediaError, match="a stub that git-lfs left in the place of the file: run `git lfs pull`"):
        decode_parts(tmp_path / "a.flv", wanted, PARAMS) if wanted else decode_clip(tmp_path / "a.flv", PARAMS)


def test_a_dark_part_is_told_from_a_dark_file(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", audio="pcm_s16le", rate=RATE, audio_start=1.0, seconds=2.0)
    silent, sounding = map(good, decode_parts(clip, [Part(0.0, 0.9), Part(1.2, 1.8)], PARAMS))
    assert [note.error for note in silent.notes] == ["silent_sound"]
    assert [note.error for note in sounding.notes] == []


def test_numbers_survive_the_making():
    assert shown_number(cv2.resize(numbered_frame(42, 160, 120), (80, 60))) == 42
