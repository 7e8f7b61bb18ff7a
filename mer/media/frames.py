"""The wanted frames of a video stream, decoding no more than they need, as long as the decoder bears the file out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence

import av
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame

from mer.media.disposable import Disposable
from mer.media.errors import DoubtError, TooManyPixelsError
from mer.media.track import Track

SKIPPING_IS_EXACT = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
"""Codecs in which a non-reference frame is never needed by another. HEVC's may be, by a higher temporal layer."""
BUILD_ON_OTHERS = frozenset({PictureType.P, PictureType.B, PictureType.S, PictureType.SP, PictureType.BI})


def sample(video: Track, wanted: Sequence[int], *, max_pixels: int) -> Iterator[tuple[int, VideoFrame]]:
    """Decode exactly the frames shown at the wanted times, in order of time.

    Raises:
        DoubtError: what the container says of keyframes, times or order is not what the decoder finds, or a part does
            not decode cleanly. What was given before may be wrong, too.
        TooManyPixelsError: a frame is larger than `max_pixels`.
    """
    context = video.stream.codec_context
    context.thread_count = 1  # one worker a core: threads would only add work
    reorders = video.reorders
    skips = context.name in SKIPPING_IS_EXACT and reorders
    skipping = frozenset(video.times).difference(wanted) if skips else frozenset()
    disposable = Disposable(context)
    for first, last in _needed_ranges(video, wanted):
        within = set(video.times[first : last + 1])
        awaited = [time for time in wanted if time in within]
        packets = [p for p in video.packets[first : last + 1] if p.pts in awaited or not disposable(p)]
        watch = _Watch(None if first == 0 else video.times[first])
        for frame in _drain(context, packets, skipping):
            check_size(frame, max_pixels)
            watch.see(frame)
            if frame.pts in awaited:
                awaited.remove(frame.pts)
                yield frame.pts, frame
        watch.end(awaited)
        if context.has_b_frames and not reorders:
            raise DoubtError("the decoder reorders frames, the container's times do not")
        context.flush_buffers()


def check_size(frame: VideoFrame, max_pixels: int) -> None:
    """Raises `TooManyPixelsError` for a frame larger than `max_pixels`."""
    if frame.width * frame.height > max_pixels:
        raise TooManyPixelsError(f"a frame of {frame.width} x {frame.height} is above decode.max_pixels = {max_pixels}")


class _Watch:
    """Compares what the decoder gives with what the container says, over one run from a keyframe."""

    def __init__(self, key: int | None) -> None:
        self.key = key
        """Time of the keyframe that the run begins with; None where it begins with the stream."""
        self.latest: int | None = None

    def see(self, frame: VideoFrame) -> None:
        if frame.pts is None or (self.latest is not None and frame.pts <= self.latest):
            raise DoubtError("frames come in another order than the container's times say")
        if frame.is_corrupt:
            raise DoubtError("a frame is damaged")
        self.latest = frame.pts
        if frame.pts == self.key:
            if not frame.key_frame or frame.pict_type in BUILD_ON_OTHERS:
                raise DoubtError("a packet marked as keyframe holds none")
            self.key = None

    def end(self, missing: Collection[int]) -> None:
        if missing or self.key is not None:
            raise DoubtError("frames that the container has did not come")


def _needed_ranges(video: Track, wanted: Sequence[int]) -> list[tuple[int, int]]:
    """Index ranges of packets to decode: each from a keyframe to the last wanted frame that builds on it."""
    keys = sorted({0, *(number for number, packet in enumerate(video.packets) if packet.is_keyframe)})
    position = {time: number for number, time in enumerate(video.times)}
    ranges: list[tuple[int, int]] = []
    for last in sorted(position[time] for time in wanted):
        key = bisect_right(keys, last) - 1
        if key and video.times[last] < video.times[keys[key]]:
            key -= 1  # a leading picture of an open group: it builds on the group before as well
        first = keys[key]
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def _drain(context: av.VideoCodecContext, packets: Sequence[Packet], skipping: frozenset[int]) -> Iterator[VideoFrame]:
    for packet in [*packets, None]:
        context.skip_frame = "NONREF" if packet is not None and packet.pts in skipping else "DEFAULT"
        try:
            yield from context.decode(packet)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            raise DoubtError("a packet does not decode") from None
