"""What cameras and tools really write: flags, headers and clocks that lie, and the right value all the same."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from mer.media import encode
from mer.media.audio import RATE
from mer.media.decode import Media, decode_clip
from mer.media.formats import AUDIO_SUFFIXES, DEMUXERS, MEDIA_SUFFIXES
from mer.media.orientation import from_matrix
from mer.media.record import MediaRecord
from mer.media.sandbox import decode_safely
from mer.params import DecodeParams
from tests.media import ffmpeg
from tests.media.ffmpeg import make, picture, tone
from tests.media.making import shown_number, write_clip

PARAMS = DecodeParams()
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]


def level(samples: np.ndarray | None) -> float:
    assert samples is not None
    return float(np.sqrt(np.mean(samples**2)))


def kinds(media: Media | MediaRecord) -> set[str]:
    return {note.error for note in media.notes}


def every_frame(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def assert_true_frames(path: Path, count: int = 8) -> Media:
    """Every sampled frame is one of a full decode, and they come in its order."""
    media, every = decode_clip(path, PARAMS), every_frame(path)
    assert len(media.frames) == count
    places = [int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in every])) for frame in media.frames]
    for frame, place in zip(media.frames, places, strict=True):
        np.testing.assert_array_equal(frame, every[place])
    assert places == sorted(set(places))
    return media


# Parameters that only the decoder knows.


@ffmpeg.needed
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adts.ts", ["-c:a", "aac"]),
        ("latm.ts", ["-c:a", "aac", "-mpegts_flags", "latm"]),
        ("eac3.ts", ["-c:a", "eac3"]),
        ("dts.ts", ["-c:a", "dca", "-strict", "-2"]),
        ("bare.aac", ["-c:a", "aac"]),
        ("bare.latm", ["-c:a", "aac"]),
        ("bare.dts", ["-c:a", "dca", "-strict", "-2"]),
        ("flac.ogg", ["-c:a", "flac"]),
        ("bare.mlp", ["-c:a", "mlp", "-strict", "-2"]),
    ],
)
def test_sound_whose_rate_only_the_decoder_knows(tmp_path: Path, name: str, options: list[str]) -> None:
    with_picture = name.endswith(".ts")
    path = make(
        tmp_path / name, *(picture() if with_picture else []), *tone(), *(H264 if with_picture else []), *options
    )
    media = decode_clip(path, PARAMS)
    assert media.audio is not None
    assert len(media.audio) == pytest.approx(RATE, abs=0.07 * RATE)
    assert level(media.audio) == pytest.approx(0.088, abs=0.003)
    assert len(media.frames) == (8 if with_picture else 0)
    assert not media.notes


@ffmpeg.needed
@pytest.mark.parametrize("name", ["a.mpg", "a.ts", "a.flv", "a.h264", "a.vob", "a.m2v"])
def test_a_pixel_aspect_in_the_video_stream_alone(tmp_path: Path, name: str) -> None:
    codec = ["-c:v", "mpeg2video", "-q:v", "8"] if name.endswith(("mpg", "vob", "m2v")) else H264
    path = make(tmp_path / name, *picture(0.4, "720x576"), "-vf", "setsar=64/45", *codec)
    media = decode_clip(path, PARAMS)
    assert (media.width, media.height) == (720, 405)
    assert media.frames[0].shape == (360, 640, 3)


# Keyframes, placeholders and side data.


@ffmpeg.needed
def test_packed_b_frames_of_xvid(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", *picture(2), "-c:v", "libxvid", "-bf", "2", "-q:v", "4")
    media = assert_true_frames(path)
    assert all(abs(frame.mean() - 65) < 3 for frame in media.frames)


@ffmpeg.needed
@pytest.mark.parametrize("options", ["intra-refresh=1:keyint=10", "keyint=200:scenecut=0:bframes=2", "mpeg4"])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
@pytest.mark.parametrize("every", [1, 5], ids=["every sample", "some"])
def test_keyframe_flags_on_frames_that_build_on_others(tmp_path: Path, options: str, ending: str, every: int) -> None:
    codec = ["-c:v", "mpeg4", "-g", "200"] if options == "mpeg4" else [*H264, "-x264-params", options]
    whole = make(tmp_path / "a.mkv", *picture(2), *codec)
    path = tmp_path / f"lies.{ending}"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.stream, packet.is_keyframe = stream, number % every == 0
                target.mux(packet)
    assert_true_frames(path)


def test_disposable_flags_on_frames_that_others_need(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "x265-params": "bframes=4:b-pyramid=1:keyint=40:log-level=none:pools=none"}
    path = write_clip(
        *(tmp_path / "a.mp4",), seconds=2, size=(320, 160), audio=None, video="libx265", video_options=options
    )
    data = bytearray(path.read_bytes())
    at = data.find(b"sdtp") + 8
    data[at : at + 50] = bytes([0b00001000] * 50)  # every sample: no other depends on this one
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert all(packet.is_disposable for packet in container.demux(video=0) if packet.size)
    assert_true_frames(path)


@ffmpeg.needed
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", ["-c:v", "msrle"]),
        ("a.avi", ["-c:v", "rawvideo", "-pix_fmt", "pal8"]),
        ("a.mov", ["-c:v", "qtrle", "-pix_fmt", "gray"]),
        ("a.mov", ["-c:v", "rawvideo", "-pix_fmt", "pal8"]),
    ],
)
def test_palettes_come_beside_a_packet(tmp_path: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *picture(), *options)
    media = assert_true_frames(path)
    assert all(frame.std() > 20 for frame in media.frames)


@ffmpeg.needed
@pytest.mark.parametrize(
    ("ending", "codec"), [("flv", "libx264"), ("ts", "libx264"), ("ts", "mpeg2video"), ("mpg", "mpeg2video")]
)
def test_new_headers_in_mid_stream(tmp_path: Path, ending: str, codec: str) -> None:
    parts = []
    for number, size in enumerate(("64x48", "96x64")):
        options = ["-c:v", codec, "-pix_fmt", "yuv420p", "-output_ts_offset", 0 if ending == "flv" else number]
        parts.append(make(tmp_path / f"{number}.{ending}", *picture(1, size), *options).read_bytes())
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(_joined_flv(*parts) if ending == "flv" else b"".join(parts))
    media = decode_clip(path, PARAMS)
    assert len(media.frames) == 8
    assert {frame.shape[:2] for frame in media.frames} == {(48, 64), (64, 96)}
    assert all(frame.std() > 20 for frame in media.frames)


def _joined_flv(first: bytes, second: bytes) -> bytes:
    """The tags of the second file, a second later, after those of the first: its AVC header comes in mid-stream."""
    out = bytearray(first)
    at = 9 + 4
    while at + 11 <= len(second):
        size = int.from_bytes(second[at + 1 : at + 4], "big")
        tag = bytearray(second[at : at + 11 + size + 4])
        time = int.from_bytes(tag[4:7], "big") + 1000
        tag[4:7] = time.to_bytes(3, "big")
        if tag[0] == 9:
            out += tag
        at += 11 + size + 4
    return bytes(out)


# Flips.


def turned(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Literally: stored (p, q) is shown at (a p + c q, b p + d q)."""
    a, b, c, d = matrix
    height, width = image.shape[:2]
    q, p = np.mgrid[:height, :width]
    x, y = a * p + c * q, b * p + d * q
    x, y = x - x.min(), y - y.min()
    shown = np.zeros((y.max() + 1, x.max() + 1, 3), image.dtype)
    shown[y, x] = image
    return shown


SIGNS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
EIGHT = [(one, 0, 0, two) for one, two in SIGNS] + [(0, one, two, 0) for one, two in SIGNS]


@pytest.mark.parametrize("matrix", EIGHT)
def test_all_eight_orientations(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(64, 48), seconds=0.4, audio=None)
    stored = decode_clip(path, PARAMS)
    data = bytearray(path.read_bytes())
    a, b, c, d = (entry << 16 for entry in matrix)
    struct.pack_into(">9i", data, data.find(b"tkhd") + 44, a, b, 0, c, d, 0, 64 << 16, 48 << 16, 1 << 30)
    path.write_bytes(data)
    media = decode_clip(path, PARAMS)
    for frame, original in zip(media.frames, stored.frames, strict=True):
        np.testing.assert_array_equal(frame, turned(original, matrix))
    assert (media.height, media.width) == media.frames[0].shape[:2]


def test_a_matrix_that_is_no_quarter_turn_is_noted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(64, 48), seconds=0.4, audio=None)
    data = bytearray(path.read_bytes())
    entries = [round(65536 * value) for value in (0.8, 0.6, 0, -0.6, 0.8, 0)]
    struct.pack_into(">9i", data, data.find(b"tkhd") + 44, *entries, 0, 0, 1 << 30)
    path.write_bytes(data)
    assert kinds(decode_clip(path, PARAMS)) - {"flat_frames"} == {"tilted_frames"}


def test_a_matrix_of_zeros_is_none() -> None:
    assert from_matrix((0,) * 9)(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).tolist() == [
        [[0, 1, 2], [3, 4, 5]],
        [[6, 7, 8], [9, 10, 11]],
    ]


# Lengths.


@ffmpeg.needed
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_subtitle_track_of_twenty_minutes_is_not_the_clips_length(tmp_path: Path, ending: str) -> None:
    subtitles = tmp_path / "s.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\na\n\n2\n00:19:59,000 --> 00:20:00,000\nb\n")
    codec = "srt" if ending == "mkv" else "mov_text"
    path = make(
        tmp_path / f"a.{ending}",
        *(*picture(), *tone(), "-i", subtitles, "-map", "0", "-map", "1", "-map", "2"),
        *(*H264, "-c:a", "aac", "-c:s", codec),
    )
    media = decode_clip(path, PARAMS)
    assert media.duration == pytest.approx(1.0, abs=0.1)
    assert len(media.frames) == 8


@ffmpeg.needed
def test_chapters_of_an_hour_are_not_the_clips_length(tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=3600\ntitle=a\n")
    path = make(tmp_path / "a.mov", *picture(), "-i", chapters, "-map_metadata", "1", "-map_chapters", "1", *H264)
    assert decode_clip(path, PARAMS).duration == pytest.approx(1.0, abs=0.1)


def test_a_movie_header_that_declares_hours_is_not_believed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    at = data.find(b"mvhd") + 4 + 12
    struct.pack_into(">I", data, at + 4, struct.unpack_from(">I", data, at)[0] * 36_000)
    path.write_bytes(data)
    assert decode_clip(path, PARAMS).duration == pytest.approx(1.0, abs=0.1)


# Endings.


@ffmpeg.needed
@pytest.mark.parametrize(
    ("ending", "codecs"),
    [
        ("mts", "-c:v mpeg2video -c:a mp2"),
        ("m2ts", "-c:v mpeg2video -c:a ac3"),
        ("vob", "-c:v mpeg2video -c:a mp2"),
        ("ogv", "-c:v libtheora -c:a libvorbis"),
        ("oga", "-c:a libopus"),
        ("amr", "-c:a libopencore_amrnb -ar 8000"),
        ("mp2", "-c:a mp2"),
        ("3g2", "-c:v mpeg4 -c:a aac"),
        ("ac3", "-c:a ac3"),
        ("w64", "-c:a pcm_s16le"),
        ("mxf", "-c:v mpeg2video -c:a pcm_s16le -ar 48000 -s 720x576"),
        ("caf", "-c:a pcm_s16be"),
        ("au", "-c:a pcm_s16be"),
        ("wv", "-c:a wavpack"),
        ("voc", "-c:a pcm_u8"),
    ],
)
def test_endings_that_the_decoder_reads(tmp_path: Path, ending: str, codecs: str) -> None:
    options = codecs.split()
    path = make(tmp_path / f"a.{ending}", *(picture() if "-c:v" in options else []), *tone(), *options)
    assert path.suffix in MEDIA_SUFFIXES
    media = decode_clip(path, PARAMS)
    assert level(media.audio) == pytest.approx(0.088, abs=0.04)
    assert bool(media.frames) == ("-c:v" in options)


AMBIGUOUS = {"heic", "heif", "avif", "mks", "mpo", "mac", "apl", "psp", "ism", "ty+"}
"""Still pictures, manifests, subtitles alone, and endings that other kinds of file use."""


def test_the_endings_are_as_wide_as_the_demuxers() -> None:
    for name in DEMUXERS.split(","):
        if name in av.formats_available:
            missing = {f".{one}" for one in av.ContainerFormat(name, "r").extensions - AMBIGUOUS} - MEDIA_SUFFIXES
            assert not missing, name
    assert ".au" in AUDIO_SUFFIXES


# Levels.


def wav(path: Path, kind: int, data: np.ndarray) -> Path:
    width, channels = data.dtype.itemsize, 1 if data.ndim == 1 else data.shape[1]
    head = struct.pack("<HHIIHH", kind, channels, RATE, RATE * width * channels, width * channels, 8 * width)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", data.nbytes) + data.tobytes()
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


SINE = 0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("kind", "kept", "scale"),
    [
        (3, (SINE * 32767).astype("<f4"), 32767.0),
        (1, (SINE * 32767).astype("<i4"), 32767 / 2**31),
        (3, (SINE * 1e-7).astype("<f4"), 1e-7),
        (3, (SINE * 1e30).astype("<f4"), 1e30),
        (3, (SINE * 5).astype("<f8"), 5.0),
        (1, (SINE * 32767).astype("<i2"), 32767 / 32768),
    ],
)
def test_a_sine_stays_one_whatever_its_level(tmp_path: Path, kind: int, kept: np.ndarray, scale: float) -> None:
    samples = decode_safely(wav(tmp_path / "a.wav", kind, kept), PARAMS).waveform()
    assert len(samples) == RATE
    np.testing.assert_allclose(samples / scale, SINE, atol=5e-5)


def test_sixteen_bits_come_back_exactly() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.float32) / 32768
    for scale in (1.0, 2.0**-12, 2.0**14):
        np.testing.assert_array_equal(encode.waveform(encode.flac(samples * np.float32(scale))), samples * scale)


@pytest.mark.parametrize("peak", [1.0, -1.0, 0.0, 1e-38, 3e38, 2.0**-40])
def test_any_peak_survives(peak: float) -> None:
    samples = np.linspace(-1, 1, 101, dtype=np.float32) * np.float32(peak)
    np.testing.assert_allclose(encode.waveform(encode.flac(samples)), samples, rtol=0, atol=abs(peak) * 2.0**-22)


def test_numbers_that_are_none_are_silence_and_noted(tmp_path: Path) -> None:
    kept = SINE.astype("<f4")
    kept[100:110], kept[200] = np.nan, np.inf
    media = decode_clip(wav(tmp_path / "a.wav", 3, kept), PARAMS)
    assert kinds(media) == {"broken_samples"}
    assert level(media.audio) == pytest.approx(0.3 / 2**0.5, rel=0.01)


@pytest.mark.parametrize("mirrored", [-1.0, -0.98])
def test_channels_that_cancel_are_noted(tmp_path: Path, mirrored: float) -> None:
    both = (np.stack([SINE, mirrored * SINE], 1) * 32767).astype("<i2")
    media = decode_safely(wav(tmp_path / "a.wav", 1, both), PARAMS)
    assert kinds(media) == {"cancelled_mix"}
    right_alone = (np.stack([0 * SINE, SINE], 1) * 32767).astype("<i2")
    assert not decode_safely(wav(tmp_path / "b.wav", 1, right_alone), PARAMS).notes


# Times that libavformat works out.


@ffmpeg.needed
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", ["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"]),
        ("a.avi", ["-c:v", "mpeg4", "-bf", "2", "-q:v", "2"]),
        ("a.h264", ["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"]),
        ("a.m4v", ["-c:v", "mpeg4", "-bf", "2", "-q:v", "2"]),
    ],
)
def test_frames_with_b_frames_are_at_their_own_times(tmp_path: Path, name: str, options: list[str]) -> None:
    source = write_clip(tmp_path / "source.mkv", seconds=2, video="ffv1", pix_fmt="yuv420p", audio="pcm_s16le")
    sound = ["-c:a", "pcm_s16le"] if name.endswith("avi") else ["-an"]
    path = make(tmp_path / name, "-i", source, *options, *sound)
    media = decode_clip(path, PARAMS)
    assert len(media.frames) == 8
    for frame, time in zip(media.frames, media.timestamps, strict=True):
        assert time == pytest.approx(shown_number(frame) / 25, abs=1e-3)


@ffmpeg.needed
def test_mp4_without_composition_times_is_not_believed_about_b_frames(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mkv", seconds=2, video="ffv1", pix_fmt="yuv420p", audio=None)
    path = make(tmp_path / "a.mp4", "-i", source, *H264, "-bf", "3")
    data = path.read_bytes()
    assert b"ctts" in data
    path.write_bytes(data.replace(b"ctts", b"free").replace(b"elst", b"free"))
    media = decode_clip(path, PARAMS)
    for frame, time in zip(media.frames, media.timestamps, strict=True):
        assert time == pytest.approx(shown_number(frame) / 25, abs=1e-3)


# Several tracks.


@pytest.fixture
def two_tracks(tmp_path: Path) -> Path:
    return make(
        tmp_path / "a.mkv",
        *(*tone(hertz=300), *tone(hertz=1000), "-map", "0", "-map", "1", "-c:a", "flac"),
        *("-metadata:s:a:0", "language=jpn", "-metadata:s:a:1", "language=eng"),
    )


@ffmpeg.needed
@pytest.mark.parametrize(
    ("track", "hertz", "noted"),
    [
        ("default", 300, {"several_audio_tracks"}),
        (0, 300, {"several_audio_tracks"}),
        (1, 1000, {"several_audio_tracks"}),
        ("eng", 1000, {"several_audio_tracks"}),
        ("fra", 300, {"several_audio_tracks", "audio_track_missing"}),
        (7, 300, {"several_audio_tracks", "audio_track_missing"}),
    ],
)
def test_a_sound_track_is_chosen(two_tracks: Path, track: int | str, hertz: int, noted: set[str]) -> None:
    media = decode_clip(two_tracks, DecodeParams(audio_track=track))
    assert media.audio is not None
    assert int(np.abs(np.fft.rfft(media.audio[:RATE])).argmax()) == hertz
    assert kinds(media) == noted


# What is lacking is noted.


def test_a_good_clip_has_no_notes(tmp_path: Path) -> None:
    assert not decode_safely(write_clip(tmp_path / "a.mp4"), PARAMS).notes


def test_silence_is_noted(tmp_path: Path) -> None:
    assert kinds(decode_clip(write_clip(tmp_path / "a.mkv", audio="pcm_s16le", levels=(0, 0)), PARAMS)) == {
        "silent_sound"
    }


def test_a_sound_stream_that_gives_nothing_is_noted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", audio="flac")
    data = path.read_bytes()
    broken = data.replace(b"\xff\xf8", b"\x00\x00").replace(b"\xff\xf9", b"\x00\x00")
    assert broken != data
    path.write_bytes(broken)
    media = decode_safely(path, PARAMS)
    assert media.audio is None or kinds(media) & {"damaged_sound", "short_sound"}
    assert len(media.frames) == 8
    assert media.notes


def test_frames_that_are_not_there_are_noted(tmp_path: Path) -> None:
    assert "few_frames" in kinds(decode_clip(write_clip(tmp_path / "a.mp4", times=[0.0, 0.5]), PARAMS))


@ffmpeg.needed
def test_flat_frames_in_a_clip_that_is_not_flat_are_noted(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(2), "-vf", "drawbox=color=green:t=fill:enable='lt(t,1)'", *H264)
    assert kinds(decode_clip(path, PARAMS)) == {"flat_frames"}
    path = make(tmp_path / "b.mp4", "-f", "lavfi", "-i", "color=green:s=64x48:d=1", *H264)
    assert not decode_clip(path, PARAMS).notes


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "wav"])
def test_a_file_that_breaks_off_is_noted(tmp_path: Path, ending: str) -> None:
    source = write_clip(
        tmp_path / f"a.{ending}",
        seconds=4,
        video=None if ending == "wav" else "mpeg4",
        audio="aac" if ending == "mp4" else "pcm_s16le",
    )
    if ending == "mp4":
        with (
            av.open(str(source)) as whole,
            av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as out,
        ):
            streams = {stream.index: out.add_stream_from_template(stream) for stream in whole.streams}
            for packet in whole.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
        source = tmp_path / "fast.mp4"
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    assert kinds(decode_safely(source, PARAMS)) & {"truncated", "short_sound", "short_video", "damaged_sound"}
