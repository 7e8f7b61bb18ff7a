"""What we decode against what ffmpeg decodes from end to end: container x codec x oddity, from one table.

Each file is one second of numbered pictures and a tone, written by ffmpeg. Every frame that we give must be the one of
that number in ffmpeg's own full decode, at its time; the sound must be ffmpeg's, sample for sample.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mer.media.audio import RATE
from mer.media.decode import Media, decode_clip
from mer.params import DecodeParams
from tests.media import ffmpeg
from tests.media.making import numbered_frame, shown_number

pytestmark = ffmpeg.needed

WIDTH, HEIGHT, FPS, COUNT = 176, 144, 25, 25
PARAMS = DecodeParams()

PAIRS = """
mp4   : libx264 libx265 mpeg4 libvpx-vp9 libsvtav1 mjpeg mpeg2video : aac ac3 alac libmp3lame flac libopus
mov   : libx264 prores_ks mjpeg qtrle cinepak svq1 rpza png mpeg4 h263 : pcm_s16le pcm_s24be alac pcm_f32le
mkv   : libx264 libx265 mpeg4 mpeg2video mpeg1video ffv1 huffyuv utvideo libvpx libvpx-vp9 libsvtav1 mjpeg libtheora
        snow rawvideo msmpeg4 png : aac flac dca truehd eac3 pcm_s16le libvorbis libopus wavpack tta mp2 ac3
webm  : libvpx libvpx-vp9 libsvtav1 : libopus libvorbis
avi   : libx264 mpeg4 libxvid msmpeg4 msmpeg4v2 mjpeg ffv1 huffyuv rawvideo msvideo1 cinepak wmv1 wmv2 flv h263p
        zmbv png asv1 asv2 utvideo snow : pcm_s16le libmp3lame ac3 mp2 adpcm_ms pcm_u8 pcm_mulaw adpcm_ima_wav
ts    : libx264 libx265 mpeg2video mpeg1video mpeg4 : aac ac3 eac3 mp2 libmp3lame libopus dca
m2ts  : libx264 mpeg2video : ac3 eac3 pcm_bluray
mpg   : mpeg1video mpeg2video libx264 : mp2 ac3
vob   : mpeg2video : ac3 pcm_dvd
flv   : flv libx264 flashsv : libmp3lame aac nellymoser:22050 adpcm_swf:22050 pcm_s16le
wmv   : wmv1 wmv2 msmpeg4 mjpeg : wmav1 wmav2 libmp3lame
ogv   : libtheora : libvorbis flac libopus
3gp   : h263 mpeg4 libx264 : aac libopencore_amrnb:8000
mxf   : mpeg2video:pal : pcm_s16le:48000
nut   : libx264 mpeg4 ffv1 rawvideo : pcm_s16le flac libmp3lame
rm    : rv10 rv20 : ac3
dv    : dvvideo:pal : pcm_s16le:48000
swf   : flv mjpeg : libmp3lame
ivf   : libvpx libvpx-vp9 libsvtav1 :
h264  : libx264 :
hevc  : libx265 :
m4v   : mpeg4 libxvid :
m1v   : mpeg1video :
m2v   : mpeg2video :
mjpeg : mjpeg :
h261  : h261 :
h263  : h263 :
obu   : libsvtav1 :
gif   : gif :
apng  : apng :
y4m   : rawvideo :
wav   : : pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw adpcm_ms adpcm_ima_wav libmp3lame
w64   : : pcm_s16le pcm_f32le
aiff  : : pcm_s16be pcm_s24be pcm_mulaw
caf   : : pcm_s16be alac
au    : : pcm_s16be pcm_mulaw pcm_f32be
flac  : : flac
mp3   : : libmp3lame
mp2   : : mp2
aac   : : aac
m4a   : : aac alac
ac3   : : ac3
eac3  : : eac3
dts   : : dca
thd   : : truehd
mlp   : : mlp
ogg   : : libvorbis libopus flac
oga   : : flac libvorbis
opus  : : libopus
mka   : : libvorbis eac3
wma   : : wmav1 wmav2
wv    : : wavpack
tta   : : tta
amr   : : libopencore_amrnb:8000
voc   : : pcm_u8
latm  : : aac
"""
"""Container : its video codecs : its audio codecs. Every codec comes once at least; the shorter list is repeated.

`:pal` asks for the size of PAL, which some codecs insist on; `:8000` for that sampling rate."""

H264 = "mkv mp4 ts avi flv"
ODDITIES = f"""
{H264} : libx264 : -bf 3 -g 12
{H264} : libx264 : -bf 8 -x264-params open-gop=1:keyint=10:b-pyramid=normal
{H264} : libx264 : -x264-params intra-refresh=1:keyint=10:bframes=0
{H264} : libx264 : -x264-params bframes=0:keyint=8
mp4 mkv ts : libx264 : -x264-params keyint=8:interlaced=1:bframes=2
mp4 mkv avi : libx264 : -pix_fmt yuv444p
mp4 mkv ts : libx264 : -pix_fmt yuv420p10le
mp4 mkv : libx264 : -pix_fmt gray
mp4 mkv : libx264 : -pix_fmt yuvj420p
mp4 : libx264 : -movflags +frag_keyframe+empty_moov+default_base_moof -g 5
mp4 : libx264 : -movflags +faststart
mp4 : libx264 : -movflags +negative_cts_offsets -bf 3
mp4 mkv ts : libx265 : -x265-params keyint=8:bframes=4:b-pyramid=1:open-gop=1:log-level=none
mkv mpg ts vob avi : mpeg2video : -bf 2 -g 6
mkv mpg ts : mpeg2video : -bf 2 -flags +ildct+ilme
avi mkv mp4 ts m4v : mpeg4 : -bf 2 -g 8
avi : libxvid : -bf 2
avi mkv mp4 : mpeg4 : -flags +qpel -bf 1
avi : mpeg4 : -vtag xvid -bf 2
mkv webm : libvpx : -auto-alt-ref 1 -lag-in-frames 10 -g 10
mkv webm mp4 ivf : libvpx-vp9 : -auto-alt-ref 1 -lag-in-frames 10 -g 10
mov : qtrle : -pix_fmt rgb24
avi mov nut : rawvideo : -pix_fmt pal8
avi : msvideo1 : -g 5
avi : cinepak : -g 5
mov : prores_ks : -profile:v 4444
mkv : ffv1 : -level 3 -g 5
mp4 mkv : libx264 : -ac 6 -c:a ac3
mp4 mkv : libx264 : -ar 8000
mkv : libx264 : -ar 48000 -c:a flac -sample_fmt s16
mp4 mkv ts : libx264 : -vf setpts=PTS+0.5/TB
mkv mp4 : libx264 : -af adelay=0|0,asetpts=PTS+0.3/TB
ts : libx264 : -muxdelay 0 -muxpreload 0
ts : libx264 : -mpegts_flags latm -c:a aac
mkv : libx264 : -cluster_time_limit 100
"""
"""Containers : video codec : ffmpeg's options."""


@dataclass(frozen=True)
class Case:
    """One file: its ending, codecs, the size of the picture and the rate of the sound, and options."""

    ending: str
    video: str = ""
    audio: str = ""
    options: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.ending, self.video, self.audio, self.options]))

    def write(self, folder: Path, source: Path) -> Path:
        path = folder / f"clip.{self.ending}"
        arguments: list[object] = ["-i", source, "-threads", "1"]
        video, _, size = self.video.partition(":")
        audio, _, rate = self.audio.partition(":")
        if video:
            arguments += ["-map", "0:v", "-c:v", video, *SETTINGS.get(video, [])]
        if size == "pal":
            arguments += ["-vf", "scale=720:576:flags=neighbor", "-pix_fmt", "yuv420p"]
        if audio:
            arguments += ["-map", "0:a", "-c:a", audio, *(["-ar", rate] if rate else [])]
            arguments += ["-ac", "1"] if audio in ("libopencore_amrnb", "nellymoser") else []
            arguments += ["-strict", "-2"] if audio in ("dca", "truehd", "mlp", "libopus", "flac") else []
        ffmpeg.run(*arguments, *shlex.split(self.options), path)
        return path


SETTINGS = {
    "libx264": ["-preset", "veryfast", "-pix_fmt", "yuv420p"],
    "libx265": ["-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"],
    "libvpx": ["-deadline", "realtime", "-cpu-used", "8"],
    "libvpx-vp9": ["-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"],
    "libsvtav1": ["-preset", "12", "-pix_fmt", "yuv420p"],
    "snow": ["-pix_fmt", "yuv420p"],
    **{name: ["-q:v", "4"] for name in ("mpeg4", "libxvid", "mpeg2video", "mpeg1video", "flv", "wmv1", "wmv2")},
    **{name: ["-q:v", "4"] for name in ("msmpeg4", "msmpeg4v2", "h263", "h263p", "h261", "mjpeg", "rv10", "rv20")},
}


JITTER = {"libxvid": 0.05, "h261": 0.2, "h263": 0.2, "rv10": 0.05, "rv20": 0.05}
"""Seconds by which a frame's time may differ from its number's; in AVI, 0.05, for ffmpeg makes up for the delay of MP3
by an empty chunk. XviD's encoder drops and repeats a picture, and raw
streams of video telephony know only the clock of 29.97 Hz."""


def cases() -> list[Case]:
    found: dict[str, Case] = {}
    for line in PAIRS.replace("\n   ", " ").strip().splitlines():
        ending, videos, audios = (
            (part.strip() for part in line.split(" :", 2)) if line.count(" :") == 2 else ("", "", "")
        )
        rows = max(len(videos.split()), len(audios.split()))
        for number in range(rows):
            case = Case(ending, _turn(videos, number), _turn(audios, number))
            found[str(case)] = case
    audio = {"avi": "pcm_s16le", "mpg": "mp2", "vob": "ac3", "mov": "pcm_s16le", "webm": "libopus", "nut": "flac"}
    for line in ODDITIES.strip().splitlines():
        endings, video, options = (part.strip() for part in line.split(" : "))
        for ending in endings.split():
            sound = "" if ending in ("m4v", "ivf") or "-c:a" in options else audio.get(ending, "aac")
            extra = " -map 0:a" if "-c:a" in options else ""
            case = Case(ending, video, sound, options + extra)
            found[str(case)] = case
    return list(found.values())


def _turn(names: str, number: int) -> str:
    listed = names.split()
    return listed[number % len(listed)] if listed else ""


CASES = cases()


def test_the_table_is_wide() -> None:
    assert len(CASES) >= 150


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbered pictures and a tone in both channels, without loss."""
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        for number in range(COUNT):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered_frame(number, WIDTH, HEIGHT), "rgb24")))
        container.mux(video.encode(None))
        wave = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100) * 0.25
        samples = np.repeat((wave * 32767).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        frame.sample_rate = 44_100
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("case", CASES, ids=str)
def test_frames_and_sound_are_those_of_a_full_decode(case: Case, source: Path, tmp_path: Path) -> None:
    path = case.write(tmp_path, source)
    media = decode_clip(path, PARAMS)
    if case.video:
        check_frames(
            media, reference_frames(path, media), jitter=JITTER.get(case.video, 0.05 if case.ending == "avi" else 0.03)
        )
    if case.audio or "-c:a" in case.options:
        assert media.audio is not None, media.notes
        check_sound(media.audio, reference_sound(path), leveled="-ac 6" in case.options)


def reference_frames(path: Path, media: Media) -> NDArray[np.uint8]:
    """Every frame that ffmpeg decodes, uint8 [n, H, W, 3], at the size at which we show them."""
    scale = ["-vf", f"scale={media.frames[0].shape[1]}:{media.frames[0].shape[0]}:flags=area"]
    out = ffmpeg.run(
        "-i", path, "-map", "0:v:0", *scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"
    )
    return np.frombuffer(out.stdout, np.uint8).reshape(-1, *media.frames[0].shape)


def check_frames(media: Media, reference: NDArray[np.uint8], jitter: float) -> None:
    count = len(reference)
    assert count >= COUNT - 2
    assert len(media.frames) == 8
    numbers = [shown_number(frame) for frame in reference]
    centres = [int(count * (2 * part + 1) / 16) for part in range(8)]
    delays = []
    for frame, time, centre in zip(media.frames, media.timestamps, centres, strict=True):
        number = shown_number(frame)
        assert number in numbers
        place = numbers.index(number)
        assert abs(place - centre) <= 1  # a B-frame may give way to its neighbour
        assert np.abs(frame.astype(int) - reference[place]).mean() < 3
        delays.append(time - number / FPS)
    assert np.ptp(delays) < jitter, delays


def reference_sound(path: Path) -> NDArray[np.float32]:
    """Float32 [samples] at 16 kHz: ffmpeg's decode, mixed as we mix."""
    mix = f"aresample={RATE}:rematrix_maxval=1:out_chlayout=mono:out_sample_fmt=flt"
    out = ffmpeg.run("-i", path, "-map", "0:a:0", "-af", mix, "-f", "f32le", "-")
    return np.frombuffer(out.stdout, np.float32)


def check_sound(ours: NDArray[np.float32], theirs: NDArray[np.float32], leveled: bool = False) -> None:
    ours, theirs = (part[int(np.argmax(np.abs(part) > 1e-3)) :] for part in (ours, theirs))
    assert abs(len(ours) - len(theirs)) < 0.03 * RATE
    length = min(len(ours), len(theirs))
    assert length > 0.9 * RATE
    if leveled:  # how loud the surround channels count has changed between FFmpeg's versions
        ours = ours * float(np.std(theirs) / np.std(ours))
    best = min(_difference(ours[:length], theirs[:length], lag) for lag in range(-8, 9))
    assert best < 0.02 * float(np.sqrt(np.mean(theirs**2)))


def _difference(one: NDArray[np.float32], other: NDArray[np.float32], lag: int) -> float:
    one, other = (one[lag:], other[: len(other) - lag]) if lag >= 0 else (one[:lag], other[-lag:])
    return float(np.sqrt(np.mean((one - other)[500:-1500] ** 2)))
