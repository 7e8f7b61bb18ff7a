"""Decoding one clip: the right audio and the right frames at the right times, whatever the file looks like."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data

from mer.media import encode, errors
from mer.media.audio import Resampler
from mer.media.decode import Media, decode_clip
from mer.media.picture import Picture
from mer.media.rate import SAMPLE_RATE as RATE
from mer.params import DecodeParams
from tests.media.making import shown_number, tone, write_clip

PARAMS = DecodeParams()


def numbers(media: Media) -> list[int]:
    return [shown_number(frame) for frame in media.frames]


def level(samples: np.ndarray) -> float:
    """Amplitude of the sine in the middle of a waveform."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    return float(np.sqrt(2 * np.mean(np.square(middle))))


def test_frames_come_from_the_centres_of_equal_parts(tmp_path: Path) -> None:
    media = decode_clip(write_clip(tmp_path / "a.mp4", seconds=2.0), PARAMS)
    assert numbers(media) == [3, 9, 15, 21, 28, 34, 40, 46]
    assert media.timestamps == pytest.approx([number / 25 for number in numbers(media)], abs=1e-4)
    assert (media.width, media.height) == (160, 120)
    assert media.duration == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "medium", "bf": "3", "g": "250"},
        {"preset": "medium", "bf": "3", "g": "12"},
        {"preset": "medium", "bf": "8", "x264-params": "open-gop=1:keyint=10:b-pyramid=normal"},
        {"preset": "ultrafast", "g": "1"},
    ],
    ids=["one group", "short groups", "open groups", "keyframes only"],
)
def test_skipping_gives_the_frames_of_a_full_decode(tmp_path: Path, options: dict[str, str]) -> None:
    assert_as_in_a_full_decode(write_clip(tmp_path / "a.mp4", seconds=3.0, audio=None, video_options=options))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_skipping_what_the_container_calls_disposable_gives_the_frames_of_a_full_decode(
    tmp_path: Path, ending: str
) -> None:
    options = {"preset": "veryfast", "x265-params": "bframes=4:b-pyramid=1:keyint=20:log-level=none:pools=none"}
    path = write_clip(
        tmp_path / f"a.{ending}", seconds=2.0, size=(320, 160), audio=None, video="libx265", video_options=options
    )
    with av.open(str(path)) as container:
        assert any(packet.is_disposable for packet in container.demux(video=0)) == (ending == "mp4")
    assert_as_in_a_full_decode(path)


def assert_as_in_a_full_decode(path: Path) -> None:
    with av.open(str(path)) as container:
        every = {float(frame.time): frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    media = decode_clip(path, PARAMS)
    assert len(media.frames) == 8
    for time, frame in zip(media.timestamps, media.frames, strict=True):
        nearest = min(every, key=lambda other: abs(other - time))
        assert abs(nearest - time) < 1e-3
        np.testing.assert_array_equal(frame, every[nearest])


B_FRAMES = {"preset": "medium", "x264-params": "bframes=3:b-adapt=0:b-pyramid=normal:keyint=250:scenecut=0"}


def test_a_b_frame_gives_way_to_a_neighbour_that_others_need_too(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=2.0, audio=None, video_options=B_FRAMES)
    sampled = numbers(decode_clip(path, PARAMS))
    assert all(number % 2 == 0 for number in sampled)  # in groups of three the outer B-frames are no references
    at_centres = [3, 9, 15, 21, 28, 34, 40, 46]
    assert all(abs(found - centre) <= 1 for found, centre in zip(sampled, at_centres, strict=True))


@pytest.mark.parametrize("count", [8, 12, 16])
def test_frames_that_give_way_never_meet(tmp_path: Path, count: int) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=0.64, audio=None, video_options=B_FRAMES)
    assert len(set(numbers(decode_clip(path, DecodeParams(frames=count))))) == count


def test_a_b_frame_does_not_give_way_to_one_far_off_in_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 3.0, 6.0, 6.04, 6.08, 6.12, 6.16, 6.2]  # frame 3 stays for three seconds
    path = write_clip(tmp_path / "a.mp4", audio=None, times=times, video_options=B_FRAMES)
    assert 3 in numbers(decode_clip(path, DecodeParams(frames=4)))


def test_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 4.5, 5.0, 7.9]  # frame 5 stays for four seconds
    media = decode_clip(write_clip(tmp_path / "a.mp4", audio=None, times=times), DecodeParams(frames=4))
    assert numbers(media) == [5, 6, 7]
    assert media.timestamps == pytest.approx([0.5, 4.5, 5.0], abs=1e-3)


def test_fewer_frames_than_asked_are_given_once_each(tmp_path: Path) -> None:
    media = decode_clip(write_clip(tmp_path / "a.mp4", audio=None, times=[0.0]), PARAMS)
    assert numbers(media) == [0]
    assert media.audio is None


@pytest.mark.parametrize("ending", ["avi", "mkv", "ts", "mov", "webm", "flv", "gif"])
def test_other_containers_give_the_same_frames(tmp_path: Path, ending: str) -> None:
    codec = {"avi": "mpeg4", "webm": "libvpx-vp9", "gif": "gif"}.get(ending, "libx264")
    extra = {"libx264": {"preset": "medium"}, "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}.get(codec)
    path = write_clip(
        tmp_path / f"a.{ending}",
        seconds=2.0,
        video=codec,
        video_options=extra,
        audio=None,
        pix_fmt="rgb8" if ending == "gif" else "yuv420p",
    )
    media = decode_clip(path, PARAMS)
    expected = [3, 9, 15, 21, 28, 34, 40, 46]
    assert len(media.frames) == 8
    assert all(abs(found - wanted) <= 1 for found, wanted in zip(numbers(media), expected, strict=True))


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_audio_keeps_its_level_and_length_at_any_rate(tmp_path: Path, rate: int) -> None:
    path = write_clip(tmp_path / "a.mkv", video=None, audio="pcm_s16le", rate=rate, seconds=2.0)
    audio = decode_clip(path, PARAMS).audio
    assert audio is not None
    assert audio.dtype == np.float32
    assert abs(len(audio) - 2 * RATE) <= 20
    expected = tone(len(audio) / RATE, RATE, [0.5])[0]
    np.testing.assert_allclose(audio[500:-500], expected[500:-500], atol=0.01)


@pytest.mark.parametrize(
    ("layout", "levels", "expected"),
    [
        ("mono", [0.5], 0.5),
        ("stereo", [0.5, 0.5], 0.5),
        ("stereo", [0.6, 0.0], 0.3),
        ("stereo", [0.99, 0.99], 0.99),
        ("5.1", [0.4] * 6, 0.4),
        ("7.1", [0.4] * 8, 0.4),
    ],
)
def test_channels_are_mixed_without_a_change_of_level(
    tmp_path: Path, layout: str, levels: list[float], expected: float
) -> None:
    if layout == "7.1":
        path = tmp_path / "a.wav"
        _write_wav(path, tone(1.0, RATE, levels), mask=0x63F)
    else:
        path = write_clip(tmp_path / "a.mkv", video=None, audio="pcm_s16le", rate=RATE, layout=layout, levels=levels)
    audio = decode_clip(path, PARAMS).audio
    assert audio is not None
    assert level(audio) == pytest.approx(expected, rel=0.01)


def test_speech_in_the_centre_channel_survives_the_mix(tmp_path: Path) -> None:
    levels = [0.0, 0.0, 0.8, 0.0, 0.0, 0.0]
    path = write_clip(tmp_path / "a.mkv", video=None, audio="pcm_s16le", rate=RATE, layout="5.1", levels=levels)
    audio = decode_clip(path, PARAMS).audio
    assert audio is not None
    assert level(audio) > 0.2


def test_silence_stands_before_audio_that_begins_later(tmp_path: Path) -> None:
    media = decode_clip(write_clip(tmp_path / "a.mkv", audio="pcm_s16le", rate=RATE, audio_start=0.5), PARAMS)
    assert media.audio is not None
    assert np.abs(media.audio[: int(0.49 * RATE)]).max() == 0
    assert level(media.audio[int(0.5 * RATE) :]) == pytest.approx(0.5, rel=0.02)
    assert len(media.audio) == pytest.approx(1.5 * RATE, abs=50)


def test_frames_that_begin_after_the_audio_keep_their_distance(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", audio="pcm_s16le", times=[1.0, 1.5], seconds=2.0)
    media = decode_clip(path, DecodeParams(frames=1))
    assert media.timestamps[0] == pytest.approx(1.0, abs=0.01) or media.timestamps[0] == pytest.approx(1.5, abs=0.01)
    assert media.audio is not None
    assert len(media.audio) == pytest.approx(2 * RATE, abs=50)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_samples_do_not_depend_on_the_size_of_the_frames(layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    samples = np.random.default_rng(0).normal(0, 0.1, (channels, 100_000)).astype(np.float32)

    def resampled(size: int) -> np.ndarray:
        frames = []
        for first in range(0, samples.shape[1], size):
            part = np.ascontiguousarray(samples[:, first : first + size])
            frames.append(av.AudioFrame.from_ndarray(part, "fltp", layout))
            frames[-1].sample_rate = 44_100
        resampler = Resampler(frames[0])
        for frame in frames:
            resampler.push(frame)
        return resampler.finish()

    np.testing.assert_array_equal(resampled(1024), resampled(samples.shape[1]))


def test_silent_audio_is_audio(tmp_path: Path) -> None:
    audio = decode_clip(write_clip(tmp_path / "a.mp4", levels=(0.0, 0.0)), PARAMS).audio
    assert audio is not None
    assert len(audio) > 0.9 * RATE
    assert np.abs(audio).max() < 1e-4


@pytest.mark.parametrize(("ending", "codec"), [("flac", "flac"), ("wav", "pcm_s16le"), ("mp3", "mp3"), ("ogg", "opus")])
def test_audio_files_are_clips_without_frames(tmp_path: Path, ending: str, codec: str) -> None:
    media = decode_clip(write_clip(tmp_path / f"a.{ending}", video=None, audio=codec, rate=48_000), PARAMS)
    assert media.frames == []
    assert (media.width, media.height) == (0, 0)
    assert media.audio is not None
    assert level(media.audio) == pytest.approx(0.5, rel=0.05)


def test_a_cover_picture_is_not_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.m4a", video=None, cover=True, format="mp4")
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert decode_clip(path, PARAMS).frames == []


@pytest.mark.parametrize("max_side", [640, 120], ids=["as it is", "scaled"])
@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotated_clips_come_upright(tmp_path: Path, rotation: int, max_side: int) -> None:
    path = write_clip(tmp_path / "a.mp4", audio=None, seconds=0.4, rotation=rotation, size=(160, 80))
    media = decode_clip(path, DecodeParams(frames=3, max_side=max_side))
    assert max(media.frames[0].shape) == min(160, max_side)
    turned = abs(rotation) == 90
    assert (media.width, media.height) == ((80, 160) if turned else (160, 80))
    back = [np.rot90(frame, k=-rotation // 90) for frame in media.frames]
    assert [shown_number(frame) for frame in back] == [1, 5, 8]


def test_pixels_that_are_not_square_are_shown_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", audio=None, seconds=0.2, aspect=Fraction(2, 1), size=(160, 120))
    media = decode_clip(path, DecodeParams(frames=1))
    assert media.frames[0].shape == (60, 160, 3)


def test_frames_are_scaled_down_never_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", audio=None, seconds=0.4)
    assert decode_clip(path, DecodeParams(max_side=80)).frames[0].shape == (60, 80, 3)
    assert decode_clip(path, DecodeParams(max_side=640)).frames[0].shape == (120, 160, 3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("max_side", [256, 340], ids=["half", "two thirds"])
def test_scaling_before_converting_changes_less_than_the_jpeg_does(tmp_path: Path, pix_fmt: str, max_side: int) -> None:
    frame = av.VideoFrame.from_ndarray(skimage.data.astronaut(), "rgb24").reformat(format=pix_fmt)
    with av.open(str(write_clip(tmp_path / "a.mp4", audio=None, seconds=0.2))) as container:
        scaled_first = Picture(container.streams.video[0], max_side).rgb(frame).astype(int)
    whole = frame.to_ndarray(format="rgb24")
    converted_first = cv2.resize(whole, (max_side, max_side), interpolation=cv2.INTER_AREA)
    stored = encode.image(encode.jpeg(converted_first, PARAMS.jpeg_quality)).astype(int)
    assert np.abs(scaled_first - converted_first).mean() < np.abs(stored - converted_first).mean()
    assert abs((scaled_first - converted_first).mean()) < 0.5


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p10le", "gray", "yuvj420p", "yuv422p"])
def test_pixel_formats(tmp_path: Path, pix_fmt: str) -> None:
    media = decode_clip(write_clip(tmp_path / "a.mp4", audio=None, seconds=0.4, pix_fmt=pix_fmt), PARAMS)
    assert numbers(media)[-1] in (8, 9)
    assert media.frames[0].dtype == np.uint8
    assert media.frames[-1].max() > 240


def test_no_frames_asked_none_decoded(tmp_path: Path) -> None:
    media = decode_clip(write_clip(tmp_path / "a.mp4"), DecodeParams(frames=0))
    assert media.frames == []
    assert media.audio is not None


@pytest.mark.parametrize(
    "name",
    [
        "with space.mp4",
        "quo'te\".mp4",
        "dots.in.name.mp4",
        "line\nbreak.mp4",
        "微笑.mp4",
        "a:b.mp4",
        "%03d.mp4",
        "-i.mp4",
    ],
)
def test_names(tmp_path: Path, name: str) -> None:
    assert decode_clip(write_clip(tmp_path / "a.mp4", seconds=0.4).rename(tmp_path / name), PARAMS).frames


def test_a_truncated_clip_keeps_what_it_has(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mkv", seconds=2.0).read_bytes()
    path = tmp_path / "b.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    media = decode_clip(path, PARAMS)
    assert media.frames or media.audio is not None
    assert media.duration < 2.0


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", errors.EmptyFileError),
        (b"just some words, renamed\n" * 40, errors.NotMediaError),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", errors.NotMediaError),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", errors.NotMediaError),
        (b"\x00" * 4096, errors.NotMediaError),
    ],
    ids=["empty", "text", "playlist", "script", "zeros"],
)
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes, kind: type[errors.MediaError]) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(kind):
        decode_clip(path, PARAMS)


def test_a_playlist_of_good_clips_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "good.mp4", seconds=0.4)
    path = tmp_path / "a.mp4"
    path.write_text("ffconcat version 1.0\nfile good.mp4\n")
    with pytest.raises(errors.NotMediaError):
        decode_clip(path, PARAMS)


def test_folders_missing_files_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAFileError):
        decode_clip(tmp_path, PARAMS)
    with pytest.raises(errors.MissingFileError):
        decode_clip(tmp_path / "none.mp4", PARAMS)
    subprocess.run([sys.executable, "-c", "import os, sys; os.mkfifo(sys.argv[1])", str(tmp_path / "pipe")], check=True)
    with pytest.raises(errors.NotAFileError):
        decode_clip(tmp_path / "pipe", PARAMS)


def test_limits_are_named_in_the_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=2.0)
    with pytest.raises(errors.TooLongError, match="max_seconds"):
        decode_clip(path, DecodeParams(max_seconds=1.0))
    with pytest.raises(errors.TooManyPixelsError, match="max_pixels"):
        decode_clip(path, DecodeParams(max_pixels=100 * 100))


def test_ten_hours_are_refused_from_the_header(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", audio=None, times=[0.0, 36_000.0])
    with pytest.raises(errors.TooLongError):
        decode_clip(path, PARAMS)


def test_a_length_that_the_header_hides_is_found(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp3", video=None, audio="mp3", rate=8_000, layout="mono", levels=[0.5], seconds=5.0)
    with pytest.raises(errors.TooLongError):
        decode_clip(path, DecodeParams(max_seconds=4.0))


def _write_wav(path: Path, samples: np.ndarray, mask: int) -> None:
    """WAVE_FORMAT_EXTENSIBLE with a channel mask, which PyAV cannot write for eight channels."""
    data = np.ascontiguousarray((samples.T * 32767).astype("<i2")).tobytes()
    channels = samples.shape[0]
    block = 2 * channels
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    form = (0xFFFE).to_bytes(2, "little") + channels.to_bytes(2, "little") + RATE.to_bytes(4, "little")
    form += (RATE * block).to_bytes(4, "little") + block.to_bytes(2, "little") + (16).to_bytes(2, "little")
    form += (22).to_bytes(2, "little") + (16).to_bytes(2, "little") + mask.to_bytes(4, "little") + guid
    body = b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"data" + len(data).to_bytes(4, "little") + data
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
