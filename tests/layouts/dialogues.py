"""IEMOCAP's release in small, with real video: two people side by side, each with a face and a colour of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media.making import tone, write_clip

WIDTH, HEIGHT, RATE = 720, 480, 10
"""Of the split screen, and frames a second."""


@dataclass(frozen=True)
class Turn:
    """`who` is F or M; `start` and `end` in seconds."""

    who: str
    start: float
    end: float
    label: str


def faces() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Uint8 [480, 360, 3] each: a photograph of a face, reddish; and its mirror image, bluish."""
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photograph")
    face = data.astronaut()[:400, 75:375].repeat(2, axis=0).repeat(2, axis=1)[:HEIGHT, 100 : 100 + WIDTH // 2]
    red = (face * np.array([1.0, 0.6, 0.4])).astype(np.uint8)
    blue = (face[:, ::-1] * np.array([0.4, 0.6, 1.0])).astype(np.uint8)
    return red, blue


def write_dialogue(path: Path, seconds: float, left: str) -> None:
    """An AVI of two people who both move a little all the time; the woman is red, the man blue."""
    red, blue = faces()
    sides = (red, blue) if left == "F" else (blue, red)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=RATE, options={"qscale": "4"})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture.codec_context.time_base = Fraction(1, RATE)
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(round(seconds * RATE)):
            moved = [np.roll(side, (number * step) % 13 - 6, axis=0) for side, step in zip(sides, (1, 2), strict=True)]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.hstack(moved)), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        wave = (tone(seconds, 16_000, [0.3]) * 32_767).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        samples.sample_rate = 16_000
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def write_session(root: Path, number: int, turns: Sequence[Turn], left: str = "F") -> None:
    """One session with one dialogue of these turns."""
    top, dialog = root / f"Session{number}", f"Ses{number:02d}{left}_impro01"
    lines, said = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
    counts = {"F": 0, "M": 0}
    for turn in turns:
        name = f"{dialog}_{turn.who}{counts[turn.who]:03d}"
        counts[turn.who] += 1
        lines.append(f"[{turn.start:.4f} - {turn.end:.4f}]\t{name}\t{turn.label}\t[2.5000, 3.0000, 2.0000]")
        lines += [f"C-E1:\t{turn.label};\t()", ""]
        said.append(f"{name} [{turn.start:08.4f}-{turn.end:08.4f}]: turn {turn.label}")
        sound = top / f"sentences/wav/{dialog}/{name}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        level = {"neu": 0.2, "hap": 0.8, "ang": 0.6, "sad": 0.1}.get(turn.label, 0.4)
        write_clip(
            sound, seconds=turn.end - turn.start, video=None, audio="pcm_s16le", rate=16_000, levels=(level, level)
        )
    for folder, text in (("EmoEvaluation", lines), ("transcriptions", said)):
        (top / f"dialog/{folder}").mkdir(parents=True, exist_ok=True)
        (top / f"dialog/{folder}/{dialog}.txt").write_text("\n".join(text) + "\n")
    write_dialogue(top / f"dialog/avi/DivX/{dialog}.avi", turns[-1].end + 0.5, left)
