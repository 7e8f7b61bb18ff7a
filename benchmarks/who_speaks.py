"""Who of two faces speaks: dialogues made of a film's windows side by side, with the sound of one of them.

Both mouths move, each to its own words, and the sound is to tell which is heard. With `--beside`, the other face is
that of another film, whose sound is not heard. An answer is right, wrong, or none where `mer predict --faces all` says
nothing; dialogues in which a face is not found are counted apart.

    python -m benchmarks.who_speaks FILM [--beside FILM] [--seconds 3]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mer.errors import ClipError
from mer.prediction.faces import Face, predict_faces
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source

RATE, FPS = 16_000, 25
HEIGHT = 240
STEP = 0.5
"""Seconds between the beginnings of windows."""


@dataclass(frozen=True)
class Clip:
    """Uint8 frames [T, 240, W, 3] at 25 a second, and float32 samples at 16 kHz."""

    frames: NDArray[np.uint8]
    sound: NDArray[np.float32]

    def part(self, start: float, seconds: float) -> Clip:
        picture, heard = round(start * FPS), round(start * RATE)
        return Clip(
            self.frames[picture : picture + round(seconds * FPS)], self.sound[heard : heard + round(seconds * RATE)]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path, help="shows one face that speaks all the time")
    parser.add_argument("--beside", type=Path, help="shows one face")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a dialogue")
    parser.add_argument("--dialogues", type=int, default=60, help="the most that are made")
    parser.add_argument("--bundle", type=Path, default=Path("data/models/bundle"))
    given = parser.parse_args()
    pairs = pairs_of(read(given.film), None if given.beside is None else read(given.beside), given.seconds)
    rng = np.random.default_rng(0)
    chosen = [pairs[place] for place in rng.permutation(len(pairs))[: given.dialogues]]
    predictor, answers, correlations = Predictor(given.bundle).ready(), Counter[str](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        for number, pair in enumerate(chosen):
            speaks = int(rng.integers(2))
            path = Path(folder) / f"{number}.mp4"
            write(path, pair if speaks == 0 else pair[::-1], speaks)
            answer, found = judged(predictor, path, speaks)
            answers[answer] += 1
            correlations += found
            path.unlink()
    told = answers["right"] + answers["wrong"]
    print(f"{len(chosen)} dialogues of {given.seconds:g} s: {dict(sorted(answers.items()))}")
    print(f"right of those told: {answers['right'] / max(1, told):.2f}; ", end="")
    print(f"correlation of who speaks: median {np.median(correlations or [np.nan]):.2f}")


def judged(predictor: Predictor, path: Path, speaks: int) -> tuple[str, list[float]]:
    """What is told of a dialogue, and the correlation of the face that speaks."""
    try:
        faces = predict_faces(predictor, Source(str(path), str(path)))
    except ClipError as error:
        return str(error), []
    with av.open(str(path)) as container:
        middle = container.streams.video[0].width / 2
    sides = [int(side(face) > middle) for face in faces]
    if {0, 1} - {*sides}:
        return "a face is not found", []
    own = max(face.correlation for face, place in zip(faces, sides, strict=True) if place == speaks)
    said = [place for face, place in zip(faces, sides, strict=True) if face.speaks]
    return ("none" if not said else "right" if said == [speaks] else "wrong"), [own]


def side(face: Face) -> float:
    """The middle of a face, in pixels from the left."""
    return float(face.track.boxes[:, [0, 2]].mean())


def pairs_of(film: Clip, beside: Clip | None, seconds: float) -> list[tuple[Clip, Clip]]:
    """Windows, one every half second, the first of each pair the one that is to be heard: two of a film that share no
    moment, either heard; or one of each film."""
    own = windows(film, seconds)
    if beside is not None:
        return [(a, b) for _, a in own for _, b in windows(beside, seconds)]
    return [(a, b) for start, a in own for other, b in own if abs(start - other) >= seconds]


def windows(clip: Clip, seconds: float) -> list[tuple[float, Clip]]:
    starts = np.arange(0, min(len(clip.frames) / FPS, len(clip.sound) / RATE) - seconds + 1e-6, STEP)
    return [(float(start), clip.part(start, seconds)) for start in starts]


def read(path: Path) -> Clip:
    """Frames are the ones that are shown at each twenty-fifth of a second, with the picture's own shape."""
    with av.open(str(path)) as container:
        shown = [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        sound = np.concatenate([part.to_ndarray()[0] for part in (*parts, *resampler.resample(None))])
    times = np.array([time for time, _ in shown])
    wanted = np.arange(0, times[-1] - times[0], 1 / FPS) + times[0]
    height, width = shown[0][1].shape[:2]
    small = [cv2.resize(image, (round(width * HEIGHT / height), HEIGHT)) for _, image in shown]
    places = np.searchsorted(times, wanted + 1e-6, side="right") - 1
    return Clip(np.stack([small[place] for place in places]).astype(np.uint8), sound.astype(np.float32))


def write(path: Path, clips: tuple[Clip, Clip], speaks: int) -> None:
    """Both side by side, with the sound of one."""
    count = min(len(clip.frames) for clip in clips)
    wide = np.concatenate([clip.frames[:count] for clip in clips], axis=2)
    wide = wide[:, :, : wide.shape[2] // 2 * 2]
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        picture.width, picture.height, picture.pix_fmt = wide.shape[2], wide.shape[1], "yuv420p"
        voice = container.add_stream("aac", rate=RATE)
        voice.layout = "mono"
        for number, image in enumerate(wide):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(picture.encode(frame))
        sound = clips[speaks].sound
        for at in range(0, len(sound) - 1023, 1024):
            heard = av.AudioFrame.from_ndarray(sound[None, at : at + 1024].copy(), "fltp", "mono")
            heard.sample_rate, heard.pts = RATE, at
            container.mux(voice.encode(heard))
        for stream in (picture, voice):
            container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
