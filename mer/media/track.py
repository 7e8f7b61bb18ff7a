"""The frames of a video stream on one clock, as its packets tell it, and which of them to sample."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from mer.media.errors import DoubtError
from mer.media.formats import PRESENTATION_TIMES, is_one_of

JITTER = 1.5
"""Frames this many median distances apart are still neighbours: clocks of whole milliseconds are uneven."""
USUAL_RATE = Fraction(25)
"""Frames a second where nothing says how many."""
HARMLESS_SIDE_DATA = frozenset(
    {
        *("mpegts_stream_id", "strings_metadata", "metadata_update", "quality_stats", "prft", "rtcp_sr", "a53_cc"),
        *("afd", "s12m_timecode", "cpb_properties", "replay_gain", "skip_samples", "matroska_block_additional"),
    }
)
"""Side data of packets that changes no picture. Any other kind (palettes, new headers) may be needed by later ones."""


@dataclass(frozen=True)
class Track:
    """The packets of one video stream in decoding order, and when the frame in each is shown."""

    stream: VideoStream
    packets: Sequence[Packet]
    times: Sequence[int]
    """Presentation times of the packets, in decoding order, in units of `time_base`."""
    time_base: Fraction
    start: int
    end: int

    @property
    def reorders(self) -> bool:
        """Whether frames are shown in another order than they are decoded."""
        return any(later < earlier for earlier, later in pairwise(self.times))

    @property
    def shown(self) -> list[int]:
        """Times of the frames that are shown, ascending: an edit list may cut some off."""
        visible = {t for t, packet in zip(self.times, self.packets, strict=True) if not packet.is_discard}
        return sorted(visible or set(self.times))


def track(stream: VideoStream, packets: Sequence[Packet]) -> Track | None:
    """Order packets on the clock that they carry; None where there is nothing to show.

    Raises:
        DoubtError: the times are missing, ambiguous or worked out by libavformat, which does not know the order in
            which the decoder gives frames; or packets carry data that frames far behind them need.
    """
    full = [packet for packet in packets if packet.size]
    if any(carries_state(packet) for packet in packets):
        raise DoubtError("packets carry new headers or palettes")
    if not full or stream.time_base is None:
        return None
    times = [packet.pts for packet in full if packet.pts is not None]
    if len(times) < len(full) or len(set(times)) < len(times):
        raise DoubtError("packets lack presentation times, or share them")
    step = last_duration(full, times)
    visible = [t for t, packet in zip(times, full, strict=True) if not packet.is_discard] or times
    video = Track(stream, full, times, stream.time_base, min(visible), max(visible) + step)
    if video.reorders and not is_one_of(stream.container.format.name, PRESENTATION_TIMES):
        raise DoubtError("the format stores no presentation times")
    return video


def carries_state(packet: Packet) -> bool:
    """Whether a packet has side data that decoding later packets may need."""
    return any(data.data_type not in HARMLESS_SIDE_DATA for data in packet.iter_sidedata())


def dealt_times(stream: VideoStream, packets: Sequence[Packet]) -> tuple[list[int], bool]:
    """Times in display order for packets that have none (AVI, raw streams), and whether the rate was assumed.

    Decoding times where each packet has its own: a frame is shown at its place in display order. Else the frame rate.
    """
    times = sorted(packet.dts for packet in packets if packet.dts is not None)
    if len(set(times)) == len(packets):
        return times, False
    rate = stream.average_rate or stream.guessed_rate
    step = max(1, round(1 / ((rate or USUAL_RATE) * (stream.time_base or Fraction(1, 90_000)))))
    return [number * step for number in range(len(packets))], True


def last_duration(packets: Sequence[Packet], times: Sequence[int]) -> int:
    """How long the last frame is shown: its own duration, or the median distance between frames."""
    last = packets[max(range(len(times)), key=times.__getitem__)]
    return int(last.duration) if last.duration else median_step(times)


def median_step(times: Sequence[int]) -> int:
    """Median distance between frames in display order; 0 for a single frame."""
    gaps = np.diff(np.sort(np.asarray(times, np.int64)))
    return int(np.median(gaps)) if len(gaps) else 0


def central_places(shown: Sequence[int], start: int, end: int, count: int) -> list[int]:
    """Indices in `shown` (ascending times) of what is on screen at the centres of `count` equal parts; distinct."""
    centres = [start + (end - start) * (2 * part + 1) / (2 * count) for part in range(count)]
    return sorted({max(0, bisect_right(shown, centre) - 1) for centre in centres})


def wanted_times(video: Track, count: int) -> list[int]:
    """Times of the frames on screen at the centres of `count` equal parts of the track; distinct, ascending.

    A B-frame, which comes after a frame that is shown later, needs that frame and itself decoded: it gives way to the
    neighbour that comes first in decoding order, a frame of time away at most.
    """
    shown = video.shown
    places = _spare_b_frames(video, shown, central_places(shown, video.start, video.end, count))
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
