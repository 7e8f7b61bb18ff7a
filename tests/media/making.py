"""Tiny media files whose content says what it is: each frame shows its own number, audio is a tone of known level."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 8
TICKS = 12_800


def numbered_frame(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """RGB picture of `number` in binary: eight stripes from left to right, the highest bit first."""
    bits = [(number >> shift) & 1 for shift in range(BITS - 1, -1, -1)]
    row = np.repeat(np.asarray(bits, np.uint8) * 255, -(-width // BITS))[:width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def shown_number(frame: NDArray[np.uint8]) -> int:
    """The number that a decoded frame shows."""
    middle = frame[frame.shape[0] // 2].mean(axis=-1)
    stripes = [part.mean() > 127 for part in np.array_split(middle, BITS)]
    return int("".join("1" if bit else "0" for bit in stripes), 2)


def tone(seconds: float, rate: int, levels: Sequence[float], hertz: float = 440.0) -> NDArray[np.float32]:
    """Float32 [channels, samples]: the same sine in each channel, at its own level."""
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return (np.asarray(levels)[:, None] * wave[None, :]).astype(np.float32)


def write_clip(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: int = 25,
    size: tuple[int, int] = (160, 120),
    video: str | None = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    video_options: dict[str, str] | None = None,
    rotation: float = 0,
    aspect: Fraction | None = None,
    audio: str | None = "aac",
    rate: int = 44_100,
    layout: str = "stereo",
    levels: Sequence[float] = (0.5, 0.5),
    audio_start: float = 0.0,
    format: str | None = None,
    cover: bool = False,
) -> Path:
    """Write a clip; `times` gives each frame's own time (variable frame rate), `levels` the tone's level a channel."""
    with av.open(str(path), "w", format=format) as container:
        streams: list[Any] = []
        if video:
            picture = container.add_stream(video, rate=fps, options=_options(video, video_options))
            picture.width, picture.height, picture.pix_fmt = *size, pix_fmt
            picture.time_base = picture.codec_context.time_base = Fraction(1, TICKS)
            if aspect:
                picture.codec_context.sample_aspect_ratio = aspect
            if rotation:
                picture.set_display_rotation(rotation)
            streams.append((picture, _frames(size, times or [n / fps for n in range(round(seconds * fps))])))
        if audio:
            sound = container.add_stream(audio, rate=rate, layout=layout)
            streams.append((sound, _sounds(sound, tone(seconds, rate, levels), rate, layout, audio_start)))
        if cover:
            streams.append((_add_cover(container), iter(())))
        for stream, frames in streams:
            for frame in frames:
                container.mux(stream.encode(frame))
            if frames is not None and stream.codec_context is not None and stream.codec_context.is_open:
                container.mux(stream.encode(None))
    return path


def _options(codec: str, options: dict[str, str] | None) -> dict[str, str]:
    return options if options is not None else {"preset": "ultrafast"} if codec == "libx264" else {}


def _frames(size: tuple[int, int], times: Sequence[float]) -> Any:
    for number, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), "rgb24")
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        yield frame


def _sounds(stream: Any, samples: NDArray[np.float32], rate: int, layout: str, start: float) -> Any:
    kind = stream.codec_context.format.name if stream.codec_context.format else "fltp"
    converter = av.AudioResampler(kind, layout, rate)
    for first in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, first : first + 1024]), "fltp", layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        yield from converter.resample(frame)


def _add_cover(container: Any) -> Any:
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    frame = av.VideoFrame.from_ndarray(numbered_frame(1, 32, 32), "rgb24")
    frame.pts = 0
    container.mux(stream.encode(frame))
    return stream
