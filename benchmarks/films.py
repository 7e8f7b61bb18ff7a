"""Timelines of long films: memory against a film's length, and how well utterances cover the speech.

The film is made of EmoDB's speech (or of any folder of sound) with pauses, so that its spans of speech are known; its
pictures are those of a folder of videos, again and again, or grey. Memory is the highest of the process that predicts;
the sandbox' worker holds a group of pictures at most.

    python -m benchmarks.films FOLDER_OF_SOUND [--pictures FOLDER_OF_VIDEOS] [--minutes 10 120]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.prediction import read

RATE = 16_000
PAUSES = (0.8, 4.0)
"""Seconds between two who speak, drawn evenly."""
NOISE = 1e-4
"""Level of the room between them."""
FPS, WIDTH, HEIGHT = 25, 320, 180
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
MOST = 20
"""Seconds that are taken of each video."""
FRAME = 1024
"""Samples in a frame of AAC."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sound", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder of videos")
    parser.add_argument("--bundle", type=Path, default=Path("data/models/bundle"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 120])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given.bundle, given.sound, given.pictures, given.minutes)


def compare(folder: Path, bundle: Path, sound: Path, pictures: Path | None, minutes: Sequence[float]) -> None:
    """Print, for a film of each length, seconds, memory, and how well utterances cover the speech."""
    first = None
    for length in minutes:
        film, spoken = folder / f"{length:g}.mp4", list[tuple[float, float]]()
        make_film(film, sound, pictures, 60 * length, spoken)
        out = folder / f"{length:g}.csv"
        start = time.perf_counter()
        memory = peak("predict", film, "--timeline", "--bundle", bundle, "--out", out)
        seconds = time.perf_counter() - start
        first = first or memory
        rows = read(out)
        found = [(float(row["start"]), float(row["end"])) for row in rows]
        faces = sum(row.get("has_face") == "True" for row in rows)
        print(
            f"{length:g} minutes: {seconds:.0f} s, {memory:.0f} MiB at most ({memory / first:.2f} of the first), "
            f"{len(found)} utterances of {len(spoken)}, {faces} with a face, "
            f"intersection over union {covered(found, spoken):.3f}",
            flush=True,
        )
        film.unlink()


def make_film(
    path: Path, sound: Path, pictures: Path | None, seconds: float, spoken: list[tuple[float, float]]
) -> None:
    """A film of speech with pauses; its spans of speech are noted in `spoken`.

    The pictures are encoded once, and their packets repeated: of two hours only the sound is encoded whole.
    """
    reel = path.with_name(f"{path.stem}.reel.mp4")
    make_reel(reel, pictures)
    with av.open(str(reel)) as source, av.open(str(path), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        voice = container.add_stream("aac", rate=RATE)
        voice.layout = "mono"
        shots, frames = repeated(source), 0
        waiting, samples = np.zeros(0, np.float32), 0
        for part in speech(sound, seconds, spoken):
            waiting = np.concatenate([waiting, part])
            whole = len(waiting) // FRAME * FRAME
            for at in range(0, whole, FRAME):
                heard = av.AudioFrame.from_ndarray(waiting[None, at : at + FRAME].copy(), "fltp", "mono")
                heard.sample_rate, heard.pts = RATE, samples
                container.mux(voice.encode(heard))
                samples += FRAME
            waiting = waiting[whole:]
            while frames / FPS < samples / RATE:
                packet, frames = next(shots), frames + 1
                packet.stream = picture
                container.mux(packet)
        container.mux(voice.encode(None))
    reel.unlink()


def repeated(reel: av.container.InputContainer) -> Iterator[av.Packet]:
    """The packets of a picture again and again, their times going on."""
    stream, number = reel.streams.video[0], 0
    assert stream.time_base is not None
    step = round(1 / (FPS * stream.time_base))
    while True:
        for packet in reel.demux(stream):
            if packet.size:
                packet.pts = packet.dts = number * step
                packet.duration = step
                yield packet
                number += 1
        reel.seek(0)


def make_reel(path: Path, folder: Path | None) -> None:
    """The pictures of a film, without sound: those of the videos in a folder, or grey."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})  # which has no B-frames
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, image in enumerate(grey() if folder is None else shown(folder)):
            seen = av.VideoFrame.from_ndarray(image, "rgb24")
            seen.pts, seen.time_base = number, Fraction(1, FPS)
            container.mux(picture.encode(seen))
        container.mux(picture.encode(None))


def grey() -> Iterator[NDArray[np.uint8]]:
    for number in range(10 * FPS):
        yield np.full((HEIGHT, WIDTH, 3), number, np.uint8)


def shown(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames of the videos in a folder, each from its beginning, scaled to the film's size."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    if not files:
        sys.exit(f"{folder}: no video")
    for file in files:
        with av.open(str(file)) as container:
            for frame in islice(container.decode(video=0), MOST * FPS):
                yield frame.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray()


def speech(folder: Path, seconds: float, spoken: list[tuple[float, float]]) -> Iterator[NDArray[np.float32]]:
    """Files one after the other, over a room's noise, from the start again where they do not suffice."""
    rng = np.random.default_rng(0)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac"))
    at, number = 0.0, 0
    while at < seconds:
        samples, rate = soundfile.read(files[number % len(files)], dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
        mono = np.interp(np.arange(0, len(mono) / rate, 1 / RATE), np.arange(len(mono)) / rate, mono)
        pause = round(rng.uniform(*PAUSES) * RATE)
        spoken.append((at, at + len(mono) / RATE))
        part = np.concatenate([mono, np.zeros(pause)]) + NOISE * rng.normal(size=len(mono) + pause)
        yield part.astype(np.float32)
        at, number = at + len(part) / RATE, number + 1


def covered(found: Sequence[tuple[float, float]], spoken: Sequence[tuple[float, float]]) -> float:
    """Intersection over union, in hundredths of seconds."""
    length = round(100 * max([end for _, end in (*found, *spoken)], default=0)) + 1
    masks = np.zeros((2, length), bool)
    for mask, spans in zip(masks, (found, spoken), strict=True):
        for start, end in spans:
            mask[round(100 * start) : round(100 * end)] = True
    return float((masks[0] & masks[1]).sum() / max(1, (masks[0] | masks[1]).sum()))


def peak(*words: object) -> float:
    """MiB that a run had at most: run by a process of its own, so that nobody else's counts."""
    code = (
        "import json, resource, sys; from mer.cli import app; "
        "status = app(json.loads(sys.argv[1]), standalone_mode=False); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    )
    command_ = [sys.executable, "-c", code, json.dumps([str(word) for word in words])]
    done = subprocess.run(command_, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1]) / 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
