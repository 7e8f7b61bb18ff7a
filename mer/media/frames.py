"""The wanted frames of a video stream, decoding no more than they need."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from mer.media.errors import TooManyPixelsError
from mer.media.track import Track

SKIPPING_IS_EXACT = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
"""Codecs in which a non-reference frame is never needed by another. HEVC's may be, by a higher temporal layer."""


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
    needed = frozenset(wanted)
    for first, last in _needed_ranges(video, wanted):
        # Disposable: the container says that no other frame needs it, whatever the codec (in MP4, the box sdtp).
        packets = [
            packet for packet in video.packets[first : last + 1] if packet.pts in needed or not packet.is_disposable
        ]
        for frame in _drain(context, packets, skipping):
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
