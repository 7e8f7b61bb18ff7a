"""A film of any length, in flat memory: its sound in stretches, then the frames at wanted times, each in one pass.

Unlike `mer.media.decode`, which keeps a clip's packets until all times are known, nothing is kept here but a group of
pictures. This runs in the sandboxed worker; `mer.media.film_reader` asks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mer.media import errors
from mer.media.audio import GAP_SECONDS, Resampler
from mer.media.decode import SAFE, check_file
from mer.media.frames import check_size
from mer.media.notes import Notebook
from mer.media.picture import Picture
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.sampled import Shot
from mer.media.sound import choose_audio

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

    from mer.params import DecodeParams

MOST_SECONDS = 86_400.0
"""A film may be as long as a day."""
LONG_GROUP = 600
"""Packets of a group of pictures that are kept; of a longer one, every frame is decoded as it comes."""
BREATH = 2000
"""Packets after which the reader is told that work goes on, though there is nothing to give."""


def open_film(path: str) -> InputContainer:
    """Raises `MediaError` where the file is missing or no media."""
    check_file(path)
    try:
        return av.open(f"file:{path}", options=dict(SAFE), metadata_errors="replace")
    except av.FFmpegError as error:
        raise errors.NotMediaError(error.strerror or str(error)) from None


def film_sound(path: str, params: DecodeParams, seconds: float) -> Iterator[NDArray[np.float32]]:
    """The sound as float32 [samples] at 16 kHz, `seconds` at a time, from the film's second 0; empty ones are breaths.

    A film without sound gives nothing.
    """
    with open_film(path) as container:
        stream = choose_audio(container, params.audio_track, Notebook())
        if stream is None:
            return
        sound = _Sound(_origin(container, stream, _picture(container)))
        for number, packet in enumerate(_packets(container, stream)):
            with suppress(av.FFmpegError, ValueError):  # a damaged packet costs itself
                for frame in stream.codec_context.decode(packet):
                    sound.push(frame)
            if sound.waiting >= seconds * RATE:
                yield sound.take()
            elif number % BREATH == BREATH - 1:
                yield np.zeros(0, np.float32)
        sound.end()
        yield sound.take()


@dataclass
class _Sound:
    """Audio frames to a waveform without gaps: silence stands where the clock jumps."""

    origin: float

    def __post_init__(self) -> None:
        self.parts: list[NDArray[np.float32]] = []
        self.waiting = 0
        self.given = 0
        self.current: Resampler | None = None
        self.kind: tuple[str, str, int] | None = None
        self.clock = 0.0
        """Seconds from the origin to where the sound has come."""

    def push(self, frame: av.AudioFrame) -> None:
        if not isinstance(frame, av.AudioFrame) or not frame.samples or not frame.sample_rate:
            return
        time = self.clock if frame.time is None else frame.time - self.origin
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self.current is None or kind != self.kind or time - self.clock > GAP_SECONDS:
            self.end()
            if max(time, self.clock) > MOST_SECONDS:
                raise errors.TooLongError(f"the film is longer than {MOST_SECONDS / 3600:g} hours")
            self.clock = max(time, self.clock)
            self._add(np.zeros(max(0, round(self.clock * RATE) - self.given), np.float32))
            self.current, self.kind = Resampler(frame), kind
        self.current.push(frame)
        self.clock += frame.samples / frame.sample_rate
        for part in self.current.chunks:
            self._add(part)
        self.current.chunks.clear()
        if self.clock > MOST_SECONDS:
            raise errors.TooLongError(f"the film is longer than {MOST_SECONDS / 3600:g} hours")

    def end(self) -> None:
        if self.current is not None:
            self._add(self.current.finish())
            self.current = None

    def take(self) -> NDArray[np.float32]:
        found = np.concatenate([np.zeros(0, np.float32), *self.parts])
        self.parts, self.waiting = [], 0
        return found

    def _add(self, part: NDArray[np.float32]) -> None:
        self.parts.append(np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0))
        self.waiting += len(part)
        self.given += len(part)


def film_frames(path: str, params: DecodeParams, times: Sequence[float]) -> Iterator[tuple[int, Shot] | None]:
    """The frame shown at each of the wanted times (ascending seconds), with its place among them; None is a breath.

    A time that no frame covers gets the nearest one before; one before the first frame gets that.
    """
    with open_film(path) as container:
        stream = _picture(container)
        if stream is None:
            return
        if stream.width * stream.height > params.max_pixels:
            raise errors.TooManyPixelsError(
                f"a frame of {stream.width} x {stream.height} is above decode.max_pixels = {params.max_pixels}"
            )
        origin = _origin(container, choose_audio(container, params.audio_track, Notebook()), stream)
        yield from _Wanted(stream, params, [time + origin for time in times]).frames(container)


def film_length(path: str) -> Iterator[float]:
    """Seconds that the picture lasts, as far as it is read; the last one counts."""
    with open_film(path) as container:
        stream = _picture(container)
        if stream is None:
            return
        first, end = None, 0.0
        for number, packet in enumerate(_packets(container, stream)):
            time = _seconds(packet)
            if time is not None and packet.size:
                first = time if first is None else min(first, time)
                end = max(end, time + float((packet.duration or 0) * packet.time_base))
            if number % BREATH == BREATH - 1:
                yield end - (first or 0.0)
        yield max(0.0, end - (first or 0.0))


class _Wanted:
    """Decodes the groups of pictures in which wanted frames lie."""

    def __init__(self, stream: VideoStream, params: DecodeParams, times: Sequence[float]) -> None:
        self.stream, self.params, self.times = stream, params, times
        self.picture = Picture(stream, params.max_side)
        self.place = 0
        self.last: VideoFrame | None = None
        stream.codec_context.thread_count = 1

    def frames(self, container: InputContainer) -> Iterator[tuple[int, Shot] | None]:
        group: list[Packet] = []
        streaming = False
        for number, packet in enumerate(_packets(container, self.stream)):
            time = _seconds(packet)
            if number % BREATH == BREATH - 1:
                yield None
            if packet is not None and packet.is_keyframe and time is not None and (group or streaming):
                yield from self._group(group, time, streaming)
                group, streaming = [], False
            if self.place == len(self.times):
                return
            group.append(packet)
            if streaming or len(group) >= LONG_GROUP:
                streaming = True
                yield from self._decoded(group)
                group = []
        yield from self._group(group, None, streaming)

    def _group(self, group: Sequence[Packet], end: float | None, streaming: bool) -> Iterator[tuple[int, Shot]]:
        """Frames of a group that goes up to `end`, where the next begins; skipped where no wanted time is before."""
        if self.place == len(self.times) or (end is not None and end <= self.times[self.place] and not streaming):
            return
        yield from self._decoded([*group, None])
        with suppress(av.FFmpegError):
            self.stream.codec_context.flush_buffers()
        while self.last is not None and self.place < len(self.times) and (end is None or self.times[self.place] < end):
            yield self._given(self.last)
        if end is not None:
            self.last = None  # of another group than what comes: a time in between has been given this one

    def _decoded(self, packets: Sequence[Packet | None]) -> Iterator[tuple[int, Shot]]:
        for packet in packets:
            frames: list[VideoFrame] = []
            with suppress(av.FFmpegError, ValueError):  # a damaged packet costs itself
                frames = self.stream.codec_context.decode(packet)
            for frame in frames:
                check_size(frame, self.params.max_pixels)
                if frame.pts is None or self.stream.time_base is None:
                    continue
                shown = float(frame.pts * self.stream.time_base)  # its own time base is lost at a flush
                while self.place < len(self.times) and self.times[self.place] < shown:
                    yield self._given(self.last if self.last is not None else frame)
                self.last = frame

    def _given(self, frame: VideoFrame) -> tuple[int, Shot]:
        place, self.place = self.place, self.place + 1
        return place, self.picture.shot(frame)


def _packets(container: InputContainer, stream: AudioStream | VideoStream) -> Iterator[Packet]:
    """Packets of a stream to the end, or to where the file is damaged; the last one is empty and ends the decoding."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)


def _picture(container: InputContainer) -> VideoStream | None:
    attached = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & attached]
    return next((stream for stream in moving if stream.codec_context is not None), None)


def _origin(container: InputContainer, *streams: AudioStream | VideoStream | None) -> float:
    """The film's second 0 on the container's clock: where the first of its streams begins."""
    known = [
        float(stream.start_time * stream.time_base)
        for stream in streams
        if stream is not None and stream.start_time is not None and stream.time_base
    ]
    return min(known, default=0.0)


def _seconds(packet: Packet) -> float | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None or packet.time_base is None else float(ticks * packet.time_base)
