"""The frames of a video stream on one clock, and which of them to sample."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

JITTER = 1.5
"""Frames this many median distances apart are still neighbours: clocks of whole milliseconds are uneven."""


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
    """Times of the frames on screen at the centres of `count` equal parts of the track; distinct, ascending.

    A B-frame, which comes after a frame that is shown later, needs that frame and itself decoded: it gives way to the
    neighbour that comes first in decoding order, a frame of time away at most.
    """
    shown = sorted(
        {t for t, packet in zip(video.times, video.packets, strict=True) if not packet.is_discard} or set(video.times)
    )
    length = video.end - video.start
    centres = [video.start + length * (2 * part + 1) / (2 * count) for part in range(count)]
    places = sorted({max(0, bisect_right(shown, centre) - 1) for centre in centres})
    if video.exact:
        places = _spare_b_frames(video, shown, places)
    return sorted(shown[place] for place in places)


def _spare_b_frames(video: Track, shown: Sequence[int], places: Sequence[int]) -> list[int]:
    """Places in `shown`, those of B-frames moved by one where that saves decoding; no two become one."""
    position = {time: number for number, time in enumerate(video.times)}
    b_frames = {time for time, latest in zip(video.times, accumulate(video.times, max), strict=True) if time < latest}
    reach = JITTER * float(np.median(np.diff(shown))) if len(shown) > 1 else 0.0
    taken = set(places)
    moved = []
    for place in places:
        if shown[place] in b_frames:
            near = [n for n in (place - 1, place + 1) if 0 <= n < len(shown) and n not in taken]
            near = [n for n in near if abs(shown[n] - shown[place]) <= reach]
            place = min([place, *near], key=lambda n: position[shown[n]])
            taken.add(place)
        moved.append(place)
    return moved
