"""Several clips of one file: its sound and picture are decoded once, and each part is cut out of them.

A part has a beginning and an end, may be one half of the picture, and may have its sound in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from mer.media import encode, errors
from mer.media.decode import SAFE, Decoding, check_file, decode_clip, not_media, on_clock
from mer.media.errors import MediaError
from mer.media.frames import check_size, sample
from mer.media.notes import Note, Notebook
from mer.media.part import Part
from mer.media.picture import Picture
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.sampled import FLAT, NOT_FLAT, Sampled
from mer.media.sound import SILENCE
from mer.media.track import central_places, track
from mer.media.whole import Whole

if TYPE_CHECKING:
    from mer.params import DecodeParams

LONGEST_FILE = 86_400.0
"""Seconds. `decode.max_seconds` is for a clip, and a file holds many."""
OVERRUN = 0.5
"""Seconds that a part may go on behind the end of its file without a note: times are rounded."""
OF_A_CLIP = ("silent_sound", "cancelled_mix", "short_sound", "short_video")
"""Notes on a file that say nothing of its parts."""


@dataclass(frozen=True)
class PartMedia:
    """As `mer.media.decode.Media`, on the part's own clock, with its frames as JPEGs."""

    audio: NDArray[np.float32] | None
    frames: list[bytes]
    timestamps: list[float]
    duration: float
    width: int
    height: int
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Kept:
    """One frame as it is kept: a JPEG, the size that is displayed of it, and how far its grey levels spread."""

    jpeg: bytes
    size: tuple[int, int]
    tilted: bool
    spread: float


def decode_parts(path: str | Path, parts: Sequence[Part], params: DecodeParams) -> list[PartMedia | MediaError]:
    """Decode parts of a file in this process; hostile files belong in `mer.media.sandbox`.

    A part that cannot be cut out has its error in its place.

    Raises:
        MediaError: no part can be decoded; see `mer.media.decode.decode_clip`.
    """
    check_file(Path(path))
    try:
        decoding = _PartsDecoding(
            lambda options: av.open(f"file:{path}", options=options, metadata_errors="replace"), params, parts
        )
        decoding.run_parts()
    except av.FFmpegError as error:
        raise not_media(path, error) from None
    return [_answered(decoding, number, params) for number in range(len(parts))]


def _answered(decoding: _PartsDecoding, number: int, params: DecodeParams) -> PartMedia | MediaError:
    try:
        return decoding.part(number, params)
    except MediaError as error:
        return error


@dataclass
class _Pictures:
    """What is kept of the picture: for each part the moments of its frames, for each moment and crop the frame."""

    chosen: list[list[int]] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)
    """Seconds on the stream's own clock, by moment."""
    kept: dict[tuple[int, str | None], Kept] = field(default_factory=dict)
    start: float = 0.0
    end: float = 0.0


class _PartsDecoding(Decoding):
    """One file on its way through quick decoding and, where that leaves doubt, thorough decoding."""

    def __init__(
        self, opener: Callable[[dict[str, str]], InputContainer], params: DecodeParams, parts: Sequence[Part]
    ) -> None:
        super().__init__(opener, params, LONGEST_FILE)
        self.parts = parts
        self.pictures: _Pictures | None = None
        self.sound_done = all(part.sound for part in parts)

    def run_parts(self) -> None:
        """Decode what the parts need of the file."""
        self.run_without_doubt()
        if self.sound is None and self.pictures is None and not all(part.sound for part in self.parts):
            raise errors.NothingDecodedError(
                "; ".join(["neither audio nor video could be decoded", *(note.message for note in self.notes.notes)])
            )

    def part(self, number: int, params: DecodeParams) -> PartMedia:
        """One part on its own clock.

        Raises:
            MediaError: it is longer than `decode.max_seconds`, or begins after the file's end.
        """
        part, notes = self.parts[number], Notebook([n for n in self.notes.notes if n.error not in OF_A_CLIP])
        starts = [one.start for one in (self.pictures, self.sound) if one is not None]
        origin, length = min(starts, default=0.0), self._length()
        start, end = part.start or 0.0, length if part.end is None else part.end
        if end - start > params.max_seconds:
            raise errors.TooLongError(f"the segment is longer than decode.max_seconds = {params.max_seconds:g}")
        if length and start >= length:
            raise errors.NothingDecodedError(f"the segment begins at {start:g} s, the file ends at {length:.2f} s")
        if length and end > length + OVERRUN:
            notes.add("truncated", f"the segment goes on to {end:g} s, the file ends at {length:.2f} s")
        audio = self._audio(part, start, min(end, length) if length else end, origin, params, notes)
        frames, times = self._frames(number, origin + start, params, notes)
        if audio is None and not frames:
            raise errors.NothingDecodedError("; ".join(["neither audio nor video", *(n.message for n in notes.notes)]))
        sounding = len(audio) / RATE if audio is not None else 0.0
        duration = max(sounding, min(end, length) - start if frames else 0.0)
        size = frames[0].size if frames else (0, 0)
        return PartMedia(audio, [frame.jpeg for frame in frames], times, duration, *size, tuple(notes.notes))

    def _length(self) -> float:
        """Seconds from the file's first sample or frame to its last."""
        ends = [self.sound.start + len(self.sound.samples) / RATE] if self.sound is not None else []
        starts = [self.sound.start] if self.sound is not None else []
        if self.pictures is not None:
            ends.append(self.pictures.end)
            starts.append(self.pictures.start)
        return max(ends, default=0.0) - min(starts, default=0.0)

    def _audio(
        self, part: Part, start: float, end: float, origin: float, params: DecodeParams, notes: Notebook
    ) -> NDArray[np.float32] | None:
        if part.sound is not None:
            return _own_sound(part.sound, params, notes)
        if self.sound is None:
            return None
        samples = on_clock(self.sound.samples, self.sound.start - origin, LONGEST_FILE)
        cut = samples[round(start * RATE) : round(end * RATE)]
        if not len(cut):
            notes.add("no_sound", f"the sound ends at {len(samples) / RATE:.2f} s, before the segment begins")
            return None
        if float(np.abs(cut).max(initial=0.0)) < SILENCE:
            notes.add("silent_sound", "the segment is silent throughout")
        return cut

    def _frames(
        self, number: int, start: float, params: DecodeParams, notes: Notebook
    ) -> tuple[list[Kept], list[float]]:
        if self.pictures is None or not params.frames:
            return [], []
        moments = self.pictures.chosen[number]
        frames = [self.pictures.kept[moment, self.parts[number].crop] for moment in moments]
        if len(frames) < params.frames:
            notes.add("few_frames", f"{len(frames)} of {params.frames} frames: the segment has no more")
        flat = [frame.spread <= FLAT for frame in frames[1:-1]]
        if any(flat) and max(frame.spread for frame in frames) >= NOT_FLAT:
            notes.add("flat_frames", f"{sum(flat)} of {len(frames)} frames are of one flat colour")
        if any(frame.tilted for frame in frames):
            notes.add("tilted_frames", "the display matrix is no quarter turn; took the nearest")
        return frames, [max(0.0, self.pictures.times[moment] - start) for moment in moments]

    def _quick(self, container: InputContainer) -> Sampled | None:
        stream, packets = self._demux(container)
        video = track(stream, packets) if stream is not None else None
        if stream is None or video is None:
            return None
        base, shown = video.time_base, video.shown
        pictures = _Pictures(start=float(video.start * base), end=float(video.end * base))
        places = self._places(shown, video.end, base, pictures.start)
        pictures.chosen = [[shown[place] for place in of] for of in places]
        keep = _Keeper(Picture(stream, 2 * self.params.max_side), self.params, self._crops(pictures.chosen))
        wanted = sorted({moment for of in pictures.chosen for moment in of})
        for moment, frame in sample(video, wanted, max_pixels=self.params.max_pixels):
            pictures.kept |= keep(moment, frame)
        pictures.times = {moment: float(moment * base) for moment in wanted}
        self.pictures = pictures
        return None

    def _thorough(self) -> Sampled | None:
        if not self._decode_whole(None):
            self._decode_whole(self.pictures)
        return None

    def _decode_whole(self, before: _Pictures | None) -> bool:
        """Decode all of the picture, keeping the frames that seem to be wanted; whether they were."""
        with self.opener(dict(SAFE)) as container:
            stream, packets = self._demux(container, thorough=True)
            self.pictures = None
            if stream is None:
                return True
            whole = Whole(stream, packets, self.params.frames, Picture(stream, self.params.max_side), 0)
            base = stream.time_base or Fraction(1, 1)
            guess = whole.guessed_times()
            first = (
                before.chosen if before else self._places(guess, None, base, float(guess[0] * base)) if guess else []
            )
            keep = _Keeper(Picture(stream, 2 * self.params.max_side), self.params, self._crops(first))
            pictures = _Pictures()
            for place, frame in enumerate(whole.frames()):
                check_size(frame, self.params.max_pixels)
                whole.given.append(frame.pts)
                whole.damaged += bool(frame.is_corrupt)
                pictures.kept |= keep(place, frame)
            if not whole.given or stream.time_base is None:
                self.notes.add("no_frames", f"{len(packets)} video packets, none of which gave a frame")
                return True
            if whole.damaged:
                self.notes.add("damaged_frames", f"{whole.damaged} video packets or frames are damaged")
            clock, end = whole.clock()
            pictures.start, pictures.end = float(clock[0] * base), float(end * base)
            pictures.chosen = self._places(clock, end, base, pictures.start)
            pictures.times = {place: float(clock[place] * base) for of in pictures.chosen for place in of}
            self.pictures = pictures
            return all(
                (place, part.crop) in pictures.kept
                for part, of in zip(self.parts, pictures.chosen, strict=True)
                for place in of
            )

    def _places(self, shown: Sequence[int], end: int | None, base: Fraction, start: float) -> list[list[int]]:
        """For each part, indices in `shown` of what is on screen at the centres of equal parts of it."""
        origin = min([start] if self.sound is None else [start, self.sound.start])
        last = float((shown[-1] if end is None else end) * base)
        found = []
        for part in self.parts:
            low = max(origin + (part.start or 0.0), start)
            high = last if part.end is None else min(origin + part.end, last)
            ticks = round(low / base), round(high / base)
            found.append(central_places(shown, *ticks, self.params.frames) if ticks[0] < ticks[1] else [])
        return found

    def _crops(self, chosen: Iterable[Iterable[int]]) -> dict[int, set[str | None]]:
        """Which crops of the frame at each moment are wanted."""
        crops: dict[int, set[str | None]] = {}
        for part, moments in zip(self.parts, chosen, strict=False):
            for moment in moments:
                crops.setdefault(moment, set()).add(part.crop)
        return crops


@dataclass(frozen=True)
class _Keeper:
    """Turns wanted frames into what is kept of them; `picture` scales to twice the side, for a half to keep it all."""

    picture: Picture
    params: DecodeParams
    wanted: Mapping[int, set[str | None]]

    def __call__(self, moment: int, frame: VideoFrame) -> dict[tuple[int, str | None], Kept]:
        if moment not in self.wanted:
            return {}
        shot = self.picture.shot(frame)
        return {(moment, crop): self._kept(shot.image, shot.size, shot.tilted, crop) for crop in self.wanted[moment]}

    def _kept(self, image: NDArray[np.uint8], size: tuple[int, int], tilted: bool, crop: str | None) -> Kept:
        if crop is not None:
            half = max(1, image.shape[1] // 2)
            image = image[:, :half] if crop == "left" else image[:, -half:]
            size = max(1, size[0] // 2), size[1]
        scale = self.params.max_side / max(image.shape[:2])
        if scale < 1:
            small = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
            image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        spread = max(float(image[::4, ::4, channel].std()) for channel in range(3))
        return Kept(encode.jpeg(np.ascontiguousarray(image), self.params.jpeg_quality), size, tilted, spread)


def _own_sound(path: str, params: DecodeParams, notes: Notebook) -> NDArray[np.float32] | None:
    """The sound that a part has in a file of its own; a fault of that file is noted, the picture is still good."""
    try:
        media = decode_clip(path, _without_frames(params))
    except MediaError as error:
        notes.add("no_sound", f"{Path(path).name}: {error}")
        return None
    for note in media.notes:
        notes.add(note.error, note.message)
    if media.audio is None:
        notes.add("no_sound", f"{Path(path).name} has no sound")
    return media.audio


def _without_frames(params: Any) -> Any:
    fields = params.model_dump() if hasattr(params, "model_dump") else vars(params)
    return type(params)(**{**fields, "frames": 0})
