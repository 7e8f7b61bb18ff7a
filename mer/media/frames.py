"""Frames sampled evenly over time from the packets of a video stream, decoding no more than they need."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mer.media.errors import TooManyPixelsError

SKIPPING_IS_EXACT = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
"""Codecs in which a non-reference frame is never needed by another. HEVC's may be, by a higher temporal layer."""


@dataclass(frozen=True)
class Track:
    """The packets of one video stream in decoding order, and the clock of the frames they hold."""

    stream: VideoStream
    packets: Sequence[Packet]
    times: Sequence[int]
    """Presentation times of the packets, in decoding order, in units of `time_base`."""
    exact: bool
    """The times are the packets' own; otherwise they were dealt out in display order."""
    time_base: Fraction
    start: int
    end: int


def track(stream: VideoStream, packets: Sequence[Packet]) -> Track | None:
    """Order the packets on a clock; None where there is nothing to show."""
    shown = [packet for packet in packets if packet.size]
    if not shown or stream.time_base is None:
        return None
    times = [packet.pts for packet in shown if packet.pts is not None]
    exact = len(times) == len(shown) and len(set(times)) == len(times)
    if not exact:
        times = _dealt_times(stream, shown)
    step = _last_duration(shown, times)
    visible = [t for t, packet in zip(times, shown, strict=True) if not packet.is_discard] or times
    return Track(stream, shown, times, exact, stream.time_base, min(visible), max(visible) + step)


def _dealt_times(stream: VideoStream, packets: Sequence[Packet]) -> list[int]:
    """Times for packets that have none (AVI, raw streams): their decoding times, or the frame rate, in order."""
    times = sorted(packet.dts for packet in packets if packet.dts is not None)
    if len(set(times)) == len(packets):
        return times
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    step = max(1, round(1 / (rate * (stream.time_base or Fraction(1, 90_000)))))
    return [number * step for number in range(len(packets))]


def _last_duration(packets: Sequence[Packet], times: Sequence[int]) -> int:
    """How long the last frame is shown: its own duration, or the median distance between frames."""
    last = packets[max(range(len(times)), key=times.__getitem__)]
    if last.duration:
        return int(last.duration)
    gaps = np.diff(np.sort(np.asarray(times, np.int64)))
    return int(np.median(gaps)) if len(gaps) else 0


def wanted_times(video: Track, count: int) -> list[int]:
    """Times of the frames on screen at the centres of `count` equal parts of the track; distinct, ascending."""
    shown = sorted(
        {t for t, packet in zip(video.times, video.packets, strict=True) if not packet.is_discard} or set(video.times)
    )
    length = video.end - video.start
    centres = [video.start + length * (2 * part + 1) / (2 * count) for part in range(count)]
    return sorted({shown[max(0, bisect_right(shown, centre) - 1)] for centre in centres})


def sample(video: Track, wanted: Sequence[int], *, max_pixels: int) -> Iterator[tuple[int, VideoFrame]]:
    """Decode the wanted frames, in order of time; a frame that does not decode gives way to the next that does.

    Raises:
        TooManyPixelsError: a frame is larger than `max_pixels`.
    """
    ahead = list(wanted)
    last: tuple[int, VideoFrame] | None = None
    given: tuple[int, VideoFrame] | None = None
    for time, frame in _decode(video, wanted):
        if frame.width * frame.height > max_pixels:
            raise TooManyPixelsError(
                f"a frame of {frame.width} x {frame.height} is above decode.max_pixels = {max_pixels}"
            )
        last = (time, frame)
        if ahead and time >= ahead[0]:
            given = last
            yield given
            while ahead and ahead[0] <= time:
                ahead.pop(0)
        if not ahead:
            return
    if ahead and last is not None and last is not given:
        yield last


def _decode(video: Track, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Frames in display order, the wanted ones among them; a packet that does not decode is passed over."""
    context = video.stream.codec_context
    context.thread_count = 1  # one worker a core: threads would only add work
    if not video.exact:
        clock = iter(sorted(video.times))
        for frame in _drain(context, video.packets, frozenset()):
            yield next(clock, video.end), frame
        return
    skipping = frozenset(video.times).difference(wanted) if context.name in SKIPPING_IS_EXACT else frozenset()
    for first, last in _needed_ranges(video, wanted):
        for frame in _drain(context, video.packets[first : last + 1], skipping):
            if frame.pts is not None:
                yield frame.pts, frame
        context.flush_buffers()


def _needed_ranges(video: Track, wanted: Sequence[int]) -> list[tuple[int, int]]:
    """Index ranges of packets to decode: each from a keyframe to the last wanted frame that builds on it."""
    keys = [number for number, packet in enumerate(video.packets) if packet.is_keyframe] or [0]
    position = {time: number for number, time in enumerate(video.times)}
    ranges: list[tuple[int, int]] = []
    for last in sorted(position[time] for time in wanted):
        key = max(0, bisect_right(keys, last) - 1)
        if key and video.times[last] < video.times[keys[key]]:
            key -= 1  # a leading picture of an open group: it builds on the group before as well
        first = min(keys[key], last)
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def _drain(context: av.CodecContext, packets: Sequence[Packet], skipping: frozenset[int]) -> Iterator[VideoFrame]:
    for packet in [*packets, None]:
        context.skip_frame = "NONREF" if packet is not None and packet.pts in skipping else "DEFAULT"
        try:
            yield from context.decode(packet)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            continue


class Picture:
    """Turns decoded frames into upright RGB arrays with square pixels, scaled down to `max_side`."""

    def __init__(self, stream: VideoStream, max_side: int) -> None:
        self.max_side = max_side
        self.aspect = _pixel_aspect(stream)
        self.reformatter = VideoReformatter()

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height as displayed: square pixels, upright, before any scaling."""
        width, height = self._square(frame)
        return (height, width) if frame.rotation % 180 else (width, height)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Uint8 [H, W, 3], the longer side at most `max_side`."""
        pixels = self.reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        width, height = self._square(frame)
        scale = min(1.0, self.max_side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != (frame.width, frame.height):
            # Three times as fast as letting swscale scale and convert in one go, and an average over whole pixels.
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90)))

    def _square(self, frame: VideoFrame) -> tuple[int, int]:
        """Size with square pixels: the longer direction of a pixel is cut, so that nothing is enlarged."""
        if self.aspect >= 1:
            return frame.width, max(1, round(frame.height / self.aspect))
        return max(1, round(frame.width * self.aspect)), frame.height


def _pixel_aspect(stream: VideoStream) -> float:
    aspect = stream.sample_aspect_ratio
    if not aspect or not 0.25 <= aspect <= 4:  # unknown, or a broken header
        return 1.0
    return float(aspect)
