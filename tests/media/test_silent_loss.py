"""No loss in silence: damaged and remuxed clips, of which ffmpeg gets something and we do not, leave a word.

`MER_FUZZ=1000 pytest tests/media/test_silent_loss.py` tries as many; a plain run tries a few.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mer.media.errors import MediaError
from mer.media.sandbox import Sandbox
from mer.params import DecodeParams
from tests.media import ffmpeg

pytestmark = ffmpeg.needed

COUNT = int(os.environ.get("MER_FUZZ", "60"))
CLIPS = (
    ("mp4", "libx264", "aac"),
    ("mkv", "libx264", "aac"),
    ("ts", "libx264", "aac"),
    ("avi", "mpeg4", "libmp3lame"),
    ("mpg", "mpeg2video", "mp2"),
    ("flv", "libx264", "aac"),
    ("webm", "libvpx", "libopus"),
    ("mov", "mjpeg", "pcm_s16le"),
    ("wav", None, "pcm_s16le"),
    ("flac", None, "flac"),
    ("ogg", None, "libvorbis"),
    ("aac", None, "aac"),
)
PIXELS = {"mjpeg": "yuvj420p"}
PARAMS = DecodeParams(frames=4, timeout_seconds=20)


def cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(64, len(data))]


def cut_head(data: bytearray, chance: random.Random) -> bytearray:
    return data[chance.randrange(1, len(data) // 2) :]


def hole(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.choice((16, 256, 4096)))
    data[start:stop] = bytes(stop - start)
    return data


def noise(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 8, 64))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return data


def header_noise(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 3))):
        data[chance.randrange(min(len(data), 1024))] = chance.randrange(256)
    return data


def tail_noise(data: bytearray, chance: random.Random) -> bytearray:
    """Where MP4 keeps its tables."""
    for _ in range(chance.choice((1, 3))):
        data[-chance.randrange(1, min(len(data), 1500))] = chance.randrange(256)
    return data


def swap(data: bytearray, chance: random.Random) -> bytearray:
    middle = chance.randrange(1, len(data))
    return data[middle:] + data[:middle]


def doubled(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data))
    return data[:at] + data[max(0, at - 1000) :]


DAMAGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    *(cut, cut_head, hole, noise, header_noise, tail_noise, swap, doubled),
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for number, (ending, video, audio) in enumerate(CLIPS):
        codec = ["-c:v", video, "-g", "10", "-pix_fmt", PIXELS.get(video, "yuv420p")] if video else []
        source = [*(ffmpeg.picture(size="96x64") if video else []), *ffmpeg.tone()]
        found.append(ffmpeg.make(folder / f"{number}.{ending}", *source, *codec, "-c:a", audio))
    return found + [_remuxed(path, folder) for path in found[:3]]


def _remuxed(path: Path, folder: Path) -> Path:
    """The same packets, cut to begin between keyframes, in a container that was not made for them."""
    return ffmpeg.make(folder / f"remuxed{path.stem}.nut", "-ss", "0.25", "-i", path, "-c", "copy")


def test_what_ffmpeg_gets_and_we_do_not_is_never_lost_without_a_word(clips: list[Path], tmp_path: Path) -> None:
    silent = []
    with Sandbox(PARAMS) as box:
        for number in range(COUNT):
            chance = random.Random(number)
            source, damage = clips[number % len(clips)], chance.choice(DAMAGES)
            path = tmp_path / f"{number}{source.suffix}"
            path.write_bytes(damage(bytearray(source.read_bytes()), chance))
            lost = _lost(box, path)
            if lost:
                silent.append(f"{number} {source.suffix} {damage.__name__}: {lost}")
            path.unlink()
    assert not silent, "\n".join(silent)


def _lost(box: Sandbox, path: Path) -> str:
    """What ffmpeg decodes of a file and our record lacks without a note; nothing where it is all there or noted."""
    try:
        record = box.decode(path)
    except MediaError:
        return ""  # a row in quarantine
    if record["notes"]:
        return ""
    frames, samples = _decoded_by_ffmpeg(path)
    if frames and len(record["frames"]) < min(PARAMS.frames, frames):
        return f"{len(record['frames'])} of {frames} frames"
    ours = record["duration"] if record["audio"] else 0.0
    if samples / 16_000 > ours + 0.1:
        return f"{ours:.2f} of {samples / 16_000:.2f} s of sound"
    return ""


def _decoded_by_ffmpeg(path: Path) -> tuple[int, int]:
    """Frames and samples (at 16 kHz) that ffmpeg gets, however loudly it complains."""
    picture = ffmpeg.run("-i", path, "-map", "0:v:0", "-f", "framecrc", "-", check=False).stdout.decode()
    sound = ffmpeg.run("-i", path, "-map", "0:a:0", "-ac", 1, "-ar", 16_000, "-f", "s16le", "-", check=False).stdout
    return sum(not line.startswith("#") for line in picture.splitlines()), len(sound) // 2
