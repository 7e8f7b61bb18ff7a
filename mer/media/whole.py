"""The wanted frames of a video stream by decoding all of it: what the decoder gives is the only witness."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mer.media.formats import PRESENTATION_TIMES, is_one_of
from mer.media.frames import check_size
from mer.media.picture import Picture
from mer.media.sampled import Sampled, Shot
from mer.media.track import carries_state, central_places, dealt_times, median_step


@dataclass
class Whole:
    """A video stream decoded from its first packet to its last."""

    stream: VideoStream
    packets: list[Packet]
    count: int
    """Frames to sample."""
    picture: Picture
    max_pixels: int
    given: list[int | None] = field(default_factory=list)
    """Presentation time of each frame, in the order in which the decoder gave them, as far as it is known."""
    damaged: int = 0
    """Packets that did not decode, and frames that the decoder calls corrupt."""
    assumed_rate: bool = False
    shots: dict[int, Shot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A packet without bytes would end the decoder's work, unless it brings something.
        self.packets = [packet for packet in self.packets if packet.size or carries_state(packet)]

    def sample(self, places: Collection[int] | None = None) -> tuple[Sampled | None, list[int]]:
        """Frames at the centres of equal parts of time, and the places that are lacking: decode once more for them.

        Which frames are wanted is known once all are decoded; `places` (in display order) is the best guess before.
        """
        guess = self._guess() if places is None else places
        for place, frame in enumerate(self.frames()):
            check_size(frame, self.max_pixels)
            self.given.append(frame.pts)
            self.damaged += bool(frame.is_corrupt)
            if place in guess:
                self.shots[place] = self.picture.shot(frame)
        if not self.given or self.stream.time_base is None:
            return None, []
        clock, end = self.clock()
        wanted = central_places(clock, clock[0], end, self.count)
        lacking = [place for place in wanted if place not in self.shots]
        base = self.stream.time_base
        shots = [self.shots[place].at(float(clock[place] * base)) for place in wanted if place in self.shots]
        return Sampled(shots, float(clock[0] * base), float(end * base), len(clock)), wanted if lacking else []

    def frames(self) -> Iterator[VideoFrame]:
        """Every frame that the decoder gives, in its order."""
        context = self.stream.codec_context
        context.thread_count = 1
        for packet in [*self.packets, None]:
            try:
                yield from context.decode(packet)
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                self.damaged += 1

    def guessed_times(self) -> list[int]:
        """Time of each frame in display order, as the packets let expect it."""
        full = [packet for packet in self.packets if packet.size]
        times = sorted({packet.pts for packet in full if packet.pts is not None and not packet.is_discard})
        return dealt_times(self.stream, full)[0] if len(times) < len(full) else times

    def _guess(self) -> set[int]:
        times = self.guessed_times()
        if not times:
            return set()
        return set(central_places(times, times[0], times[-1] + median_step(times), self.count))

    def clock(self) -> tuple[list[int], int]:
        """Time of each frame in display order, and the end of the last; known once all frames were given."""
        clock = self._clock()
        return clock, clock[-1] + self._last_step(clock)

    def _clock(self) -> list[int]:
        stored = is_one_of(self.stream.container.format.name, PRESENTATION_TIMES)
        known = [time for time in self.given if time is not None]
        plain = len(known) == len(self.given) and not self._reordered()
        if known and (stored or plain) and _ascending(known):
            return _filled(self.given)
        if stored and len(known) == len(self.given) == len(set(known)):
            return sorted(known)
        return self._dealt(len(self.given))

    def _reordered(self) -> bool:
        """Whether packets were decoded in another order than shown: then libavformat only worked their times out."""
        times = [packet.pts for packet in self.packets if packet.size]
        return bool(self.stream.codec_context.has_b_frames) or None in times or not _ascending(times)  # type: ignore[arg-type]

    def _dealt(self, count: int) -> list[int]:
        full = [packet for packet in self.packets if packet.size]
        times, self.assumed_rate = dealt_times(self.stream, full)
        if len(times) == count:
            return times
        # A packet may hold one field, two frames, or none: the frames share the time of all packets.
        end = times[-1] + max(1, median_step(times))
        return [int(time) for time in np.linspace(times[0], end, count, endpoint=False)]

    def _last_step(self, clock: Sequence[int]) -> int:
        last = self.packets[-1].duration if self.packets else None
        return median_step(clock) or int(last or 0)


def _ascending(times: Sequence[int]) -> bool:
    return all(earlier < later for earlier, later in pairwise(times))


def _filled(times: Sequence[int | None]) -> list[int]:
    """Times with the unknown ones between, before and after the known ones put evenly."""
    places = [place for place, time in enumerate(times) if time is not None]
    known = [time for time in times if time is not None]
    step = max(1, median_step(known) // max(1, median_step(places)))
    inside = np.interp(np.arange(len(times)), places, known)
    before = np.arange(len(times)) - places[0]
    after = np.arange(len(times)) - places[-1]
    inside = inside + step * np.minimum(before, 0) + step * np.maximum(after, 0)
    return [round(time) for time in inside]
