"""Decoding a 5 s 720p clip, audio and 8 frames: mer against the usual way, and how close the two results are.

The usual way: an ffmpeg process writes the sound track as WAV, then OpenCV reads every frame, and eight are kept.
Processor seconds of parent and children are counted, so the numbers are per core, however many threads are used. Both
run in the environment of mer's decoding workers, which sets what malloc gives back.

    python -m benchmarks.decode [--clips VIDEO ...] [--ffmpeg PATH] [--repeats 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray

from mer.media.decode import Media, decode_clip
from mer.media.sandbox import ENVIRONMENT
from mer.params import DecodeParams

SECONDS, RATE, FPS = 5, 44_100, 25
WIDTH, HEIGHT = 1280, 720
PARAMS = DecodeParams()


def make_clip(path: Path, *, keyframe_every: int, seed: int = 0) -> Path:
    """A talking head: a textured oval that moves and changes before a still, slightly noisy room; H.264 and AAC."""
    random = np.random.default_rng(seed)
    room, skin = _texture(random, 40), _texture(random, 12)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    with av.open(str(path), "w") as container:
        options = {"preset": "medium", "crf": "23", "g": str(keyframe_every)}
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="stereo")
        for number in range(SECONDS * FPS):
            time = number / FPS
            left, top = 640 + 40 * np.sin(2 * time), 380 + 15 * np.sin(3 * time)
            oval = ((x - left) / 170) ** 2 + ((y - top) / 230) ** 2 < 1
            mouth = ((x - left) / 60) ** 2 + ((y - top - 110) / (8 + 14 * abs(np.sin(9 * time)))) ** 2 < 1
            moved = np.roll(skin, (round(top) - 380, round(left) - 640), (0, 1))
            picture = np.where(oval, 0.5 * moved + 90, room) * np.where(mouth, 0.4, 1.0)
            picture = picture + random.normal(0, 1.5, picture.shape)
            rgb = np.clip(picture[..., None] * [1.0, 0.9, 0.8], 0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(video.encode(None))
        voice = _voice(random)
        for first in range(0, len(voice), 1024):
            frame = av.AudioFrame.from_ndarray(np.tile(voice[first : first + 1024], (2, 1)), "fltp", "stereo")
            frame.sample_rate = RATE
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def _texture(random: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Grey [HEIGHT, WIDTH]: large shapes with finer ones on them, as photographs have."""
    total = np.full((HEIGHT, WIDTH), 120.0)
    for scale in (size, size // 2, size // 4):
        coarse = random.normal(0, 1, (HEIGHT // scale + 2, WIDTH // scale + 2))
        total += 2.0 * scale**0.5 * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return total


def _voice(random: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(SECONDS * RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(5 * time)) / RATE
    tone = sum(np.sin(harmonic * pitch) / harmonic for harmonic in range(1, 20))
    wave = 0.1 * tone * (0.6 + 0.4 * np.sin(8 * time)) + random.normal(0, 0.003, len(time))
    return np.asarray(wave, np.float32)


def usual_way(path: Path, ffmpeg: str, wanted: set[int]) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
    """Audio float32 [samples] and the RGB frames of the wanted numbers, scaled as mer scales them."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "audio.wav"
        command = [ffmpeg, "-loglevel", "error", "-i", str(path), "-vn", "-ac", "1", "-ar", "16000", str(wav)]
        subprocess.run(command, check=True)
        audio = soundfile.read(wav, dtype="float32")[0]
    video = cv2.VideoCapture(str(path))
    frames = []
    number = 0
    while True:
        read, frame = video.read()
        if not read:
            break
        if number in wanted:
            scale = min(1.0, PARAMS.max_side / max(frame.shape))
            small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            frames.append(small[:, :, ::-1])
        number += 1
    return audio, frames


def frame_times(path: Path) -> NDArray[np.float64]:
    """Seconds from the first frame to each, in display order, as OpenCV tells them."""
    video = cv2.VideoCapture(str(path))
    times = []
    while video.grab():
        times.append(video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return np.asarray(times)


def audio_start(path: Path) -> float:
    """Seconds by which the sound begins after the clip: ffmpeg's WAV leaves them out, mer keeps them as silence."""
    with av.open(str(path)) as container:
        begin = min(float((stream.start_time or 0) * stream.time_base) for stream in container.streams)
        first = next(container.decode(audio=0)).time
    return (begin if first is None else first) - begin


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds and wall seconds of a run."""
    before, begin = _processor_seconds(), time.perf_counter()
    work()
    return _processor_seconds() - before, time.perf_counter() - begin


def _processor_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(name: str, path: Path, ffmpeg: str, repeats: int) -> None:
    """Take turns, so that a busy machine burdens both, and print the best of each."""
    media = decode_clip(path, PARAMS)
    times = frame_times(path)
    numbers = [int(np.abs(times - time).argmin()) for time in media.timestamps]
    audio, frames = usual_way(path, ffmpeg, set(numbers))
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(cost(lambda: decode_clip(path, PARAMS)))
        theirs.append(cost(lambda: usual_way(path, ffmpeg, set(numbers))))
    (cpu, wall), (their_cpu, their_wall) = map(best, (ours, theirs))
    print(
        f"{name:26} mer {1000 * cpu:6.1f} ms   usual {1000 * their_cpu:6.1f} ms   {their_cpu / cpu:.2f}x clips/s a core"
        f"   (wall {1000 * wall:.0f} and {1000 * their_wall:.0f} ms)   {same_audio(media, audio, audio_start(path))}, "
        f"{same_frames(media, frames, numbers, times)}"
    )


def best(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """Least processor and least wall seconds."""
    return min(cpu for cpu, _ in runs), min(wall for _, wall in runs)


def same_audio(media: Media, audio: NDArray[np.float32], start: float) -> str:
    """Signal-to-difference ratio; the usual way's samples are 16-bit."""
    if media.audio is None:
        return "no audio"
    ours = media.audio[round(start * 16_000) :]
    length = min(len(ours), len(audio))
    difference = ours[:length] - audio[:length]
    power, error = float(np.mean(audio[:length] ** 2)), float(np.mean(difference**2))
    return f"audio {10 * np.log10(power / error):.0f} dB" if power and error else "audio equal"


def same_frames(media: Media, frames: list[NDArray[np.uint8]], numbers: list[int], times: NDArray[np.float64]) -> str:
    """How many frames off the centre of its part the worst is; its mean absolute difference, in grey levels of 255."""
    end = times[-1] + float(np.median(np.diff(times)))
    centres = [end * (2 * part + 1) / (2 * PARAMS.frames) for part in range(PARAMS.frames)]
    on_screen = [int(np.searchsorted(times, centre, side="right")) - 1 for centre in centres]
    off = max(abs(number - centre) for number, centre in zip(numbers, on_screen, strict=True))
    worst = max(float(np.abs(one.astype(int) - two).mean()) for one, two in zip(media.frames, frames, strict=True))
    return f"{len(frames)} of {len(media.frames)} frames, off by {off}, worst difference {worst:.2f}"


def find_ffmpeg() -> str | None:
    """ffmpeg on the PATH, or the one that the `imageio-ffmpeg` package brings."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg")
    return shutil.which("ffmpeg") or str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="*", type=Path, default=[])
    parser.add_argument("--ffmpeg", default=find_ffmpeg())
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.ffmpeg is None:
        sys.exit("no ffmpeg on the PATH: pip install imageio-ffmpeg, or give --ffmpeg")
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(  # noqa: S606  (malloc reads its settings when a process starts)
            sys.executable, [sys.executable, "-m", "benchmarks.decode", *sys.argv[1:]], {**os.environ, **ENVIRONMENT}
        )
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory() as folder:
        for every in (250, 50, 25, 12):
            clip = make_clip(Path(folder) / f"{every}.mp4", keyframe_every=every)
            compare(f"720p, keyframe every {every}", clip, arguments.ffmpeg, arguments.repeats)
    for clip in arguments.clips:
        compare(clip.name, clip, arguments.ffmpeg, arguments.repeats)


if __name__ == "__main__":
    main()
