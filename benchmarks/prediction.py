"""Prediction of many files and of long films: throughput against one call a file, memory against a film's length.

Three ways for the same clips, in one run: a call of `mer predict` a file; a loop over the files in one process, each
decoded in a sandbox of its own and encoded alone, as `mer predict A B C` did before; and the whole list at once. The
rows must be equal. Then the list again, killed half-way and run again: the same table.

The film is made of EmoDB's speech (or of any folder of sound) with pauses; its spans of speech are known. Memory is the
highest of the process that predicts; the sandbox' worker holds a group of pictures at most.

    python -m benchmarks.prediction clips CLIP ... [--bundle data/models/bundle] [--calls 5]
    python -m benchmarks.prediction film FOLDER_OF_SOUND [--minutes 10 120]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from mer.encoders.face.cropper import FaceCropper
from mer.media.sandbox import decode_safely
from mer.prediction.answer import rounded
from mer.prediction.extractor import raw_of
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source

RATE = 16_000
PAUSES = (0.8, 4.0)
"""Seconds between two who speak, drawn evenly."""
NOISE = 1e-4
"""Level of the room between them."""
FPS = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("data/models/bundle"))
    ways = parser.add_subparsers(dest="way", required=True)
    clips = ways.add_parser("clips")
    clips.add_argument("clips", nargs="+", type=Path)
    clips.add_argument("--calls", type=int, default=5, help="calls of one file that are timed")
    film = ways.add_parser("film")
    film.add_argument("sound", type=Path)
    film.add_argument("--minutes", type=float, nargs="+", default=[10, 120])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.way == "clips":
            compare_clips(Path(folder), arguments.bundle, [str(clip) for clip in arguments.clips], arguments.calls)
        else:
            compare_films(Path(folder), arguments.bundle, arguments.sound, arguments.minutes)


def compare_clips(folder: Path, bundle: Path, clips: Sequence[str], calls: int) -> None:
    """Print seconds a clip of each way, and whether the rows are equal."""
    start = time.perf_counter()
    for clip in clips[:calls]:
        call("predict", clip, "--bundle", bundle, check=False)
    by_call = (time.perf_counter() - start) / min(calls, len(clips))
    by_loop, alone = loop(bundle, clips)
    table, again = folder / "table.csv", folder / "again.csv"
    start = time.perf_counter()
    call("predict", *clips, "--bundle", bundle, "--out", table, check=False)
    together = (time.perf_counter() - start) / len(clips)
    rows = read(table)
    equal = sum(
        all(abs(float(row[f"p_{name}"]) - value) < 2e-6 for name, value in one.items())
        for row, one in zip(rows, alone, strict=True)
        if one
    )
    print(
        f"{len(clips)} clips, seconds a clip: a call each {by_call:.3f}, a loop {by_loop:.3f}, together {together:.3f}"
    )
    print(f"times as fast: as a call each {by_call / together:.1f}, as a loop {by_loop / together:.1f}")
    print(f"rows equal to those of the loop: {equal} of {sum(map(bool, alone))}")
    kept = killed(again, len(clips) // 2, "predict", *clips, "--bundle", bundle, "--out", again)
    call("predict", *clips, "--bundle", bundle, "--out", again, check=False)
    print(f"killed with {kept} rows written, run again: the same table: {again.read_bytes() == table.read_bytes()}")


def loop(bundle: Path, clips: Sequence[str]) -> tuple[float, list[dict[str, float]]]:
    """Seconds a clip, and the probabilities of each, empty where there are none."""
    predictor = Predictor(bundle).ready()
    cropper = FaceCropper(predictor.params.faces) if "face" in predictor.modalities else None
    found = []
    start = time.perf_counter()
    for clip in clips:
        raw = raw_of(decode_safely(clip, predictor.params.decode), cropper)
        [one] = predictor.predict_raw([raw], [Source(clip, clip)])
        found.append(rounded(one.probabilities))
    return (time.perf_counter() - start) / len(clips), found


def killed(table: Path, rows: int, *words: object) -> int:
    """Start a run, kill it once so many rows are written; how many there are then."""
    process = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not table.exists() or table.read_bytes().count(b"\n") <= rows):
        time.sleep(0.05)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return table.read_bytes().count(b"\n") - 1


def compare_films(folder: Path, bundle: Path, sound: Path, minutes: Sequence[float]) -> None:
    """Print, for a film of each length, seconds, memory, and how well utterances cover the speech."""
    first = None
    for length in minutes:
        film, spoken = folder / f"{length:g}.mp4", list[tuple[float, float]]()
        make_film(film, sound, 60 * length, spoken)
        out = folder / f"{length:g}.csv"
        start = time.perf_counter()
        memory = peak("predict", film, "--timeline", "--bundle", bundle, "--out", out)
        seconds = time.perf_counter() - start
        first = first or memory
        found = [(float(row["start"]), float(row["end"])) for row in read(out)]
        print(
            f"{length:g} minutes: {seconds:.0f} s, {memory:.0f} MiB at most ({memory / first:.2f} of the first), "
            f"{len(found)} utterances of {len(spoken)}, intersection over union {covered(found, spoken):.3f}"
        )
        film.unlink()


def make_film(path: Path, sound: Path, seconds: float, spoken: list[tuple[float, float]]) -> None:
    """A film of speech with pauses; its spans of speech are noted in `spoken`."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
        voice = container.add_stream("aac", rate=RATE)
        voice.layout = "mono"
        waiting, samples, frames = np.zeros(0, np.float32), 0, 0
        for part in speech(sound, seconds, spoken):
            waiting = np.concatenate([waiting, part])
            while len(waiting) >= 1024:
                heard = av.AudioFrame.from_ndarray(waiting[None, :1024].copy(), "fltp", "mono")
                heard.sample_rate, heard.pts = RATE, samples
                container.mux(voice.encode(heard))
                waiting, samples = waiting[1024:], samples + 1024
            while frames / FPS < samples / RATE:
                image = np.full((120, 160, 3), (frames // FPS) % 256, np.uint8)
                seen = av.VideoFrame.from_ndarray(image, "rgb24")
                seen.pts, seen.time_base = frames, Fraction(1, FPS)
                container.mux(picture.encode(seen))
                frames += 1
        for stream in (picture, voice):
            container.mux(stream.encode(None))


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


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "mer.cli", *map(str, words)]


def call(*words: object, check: bool = True) -> None:
    subprocess.run(command(*words), check=check, capture_output=True)


def read(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
