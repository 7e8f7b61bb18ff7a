"""One clip: 16 kHz mono audio and frames sampled evenly over time.

What a container says is taken at its word only where the decoder bears it out. A clip is opened once, and no more is
decoded than the wanted frames need; where something does not fit (parameters that the header lacks, keyframes that are
none, time stamps that were worked out) it is opened again, probed, and decoded from end to end. What the file has and
the result lacks is noted.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mer.media import errors
from mer.media.declared import note_cut_riff, note_shortfall
from mer.media.errors import DoubtError
from mer.media.formats import DEMUXERS
from mer.media.frames import sample
from mer.media.notes import Note, Notebook
from mer.media.picture import Picture
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.sampled import Sampled, flat_ones
from mer.media.sound import Listener, Sound, choose_audio, require_known
from mer.media.track import track, wanted_times
from mer.media.whole import Whole

if TYPE_CHECKING:
    from mer.params import DecodeParams

SAFE = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
UNPROBED = {"codec_whitelist": "none"}
"""Keeps FFmpeg from decoding the first frames only to guess what the decoder will tell: a tenth of the time."""


@dataclass(frozen=True)
class Media:
    """What one clip holds, on the clip's own clock: second 0 is its first sample or frame.

    `audio` is float32 [samples] at 16 kHz mono at the level of the file (full scale is 1), None where there is none;
    `frames` are uint8 [H, W, 3] RGB shown at `timestamps`, in seconds. `width` and `height` are the size as displayed,
    before scaling; 0 without video. `notes` say what the file has and this lacks.
    """

    audio: NDArray[np.float32] | None
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    timestamps: list[float] = field(default_factory=list)
    duration: float = 0.0
    width: int = 0
    height: int = 0
    notes: tuple[Note, ...] = ()


def decode_clip(path: str | Path, params: DecodeParams) -> Media:
    """Decode one file in this process; hostile files belong in `mer.media.sandbox`.

    Raises:
        MediaError: the file is missing, no media, beyond a limit, or has neither audio nor video that decodes.
    """
    check_file(path)
    try:
        decoding = _Decoding(
            lambda options: av.open(f"file:{path}", options=options, metadata_errors="replace"), params
        )
        media = decoding.run()
    except av.FFmpegError as error:
        raise errors.NotMediaError(error.strerror or str(error)) from None
    note_cut_riff(decoding.notes, Path(path))
    return replace(media, notes=tuple(decoding.notes.notes))


def check_file(path: str | Path) -> None:
    """Raise `MediaError` where a path is no file that can be read, or one without bytes."""
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise errors.NotAFileError("not a regular file")
        with path.open("rb"):
            pass
    except PermissionError:
        raise errors.PermissionRefusedError("no permission to read the file") from None
    except (OSError, ValueError) as error:
        raise errors.MissingFileError(getattr(error, "strerror", None) or str(error)) from None
    if status.st_size == 0:
        raise errors.EmptyFileError("the file has no bytes")


class _Decoding:
    """One clip on its way through quick decoding and, where that leaves doubt, thorough decoding."""

    def __init__(self, opener: Callable[[dict[str, str]], InputContainer], params: DecodeParams) -> None:
        self.opener = opener
        self.params = params
        self.sound: Sound | None = None
        self.sound_done = False
        """The sound has been decoded without doubt; a second opening is for the picture alone."""
        self.notes = Notebook()

    def run(self) -> Media:
        try:
            with self.opener({**SAFE, **UNPROBED}) as container:
                require_known(container)
                picture = self._quick(container)
        except DoubtError:
            if not self.sound_done:
                self.notes = Notebook()
            picture = self._thorough()
        return self._assemble(picture)

    def _quick(self, container: InputContainer) -> Sampled | None:
        stream, packets = self._demux(container)
        video = track(stream, packets) if stream is not None else None
        if stream is None or video is None:
            return None
        seconds = float(video.start * video.time_base), float(video.end * video.time_base)
        self._check_length(seconds[1] - seconds[0])
        picture = Picture(stream, self.params.max_side)
        frames = sample(video, wanted_times(video, self.params.frames), max_pixels=self.params.max_pixels)
        shots = [picture.shot(frame).at(float(time * video.time_base)) for time, frame in frames]
        note_shortfall(self.notes, "short_video", stream, seconds[1] - seconds[0])
        return Sampled(shots, *seconds, available=len(video.shown))

    def _thorough(self) -> Sampled | None:
        sampled, places = self._decode_all(None)
        if places:
            sampled, _ = self._decode_all(places)
        if sampled is not None:
            self._check_length(sampled.end - sampled.start)
        return sampled

    def _decode_all(self, places: list[int] | None) -> tuple[Sampled | None, list[int]]:
        with self.opener(dict(SAFE)) as container:
            stream, packets = self._demux(container, thorough=True)
            if stream is None:
                return None, []
            whole = Whole(
                stream, packets, self.params.frames, Picture(stream, self.params.max_side), self.params.max_pixels
            )
            sampled, wanted = whole.sample(places)
            if sampled is not None:
                note_shortfall(self.notes, "short_video", stream, sampled.end - sampled.start)
            if sampled is None:
                self.notes.add("no_frames", f"{len(packets)} video packets, none of which gave a frame")
            elif whole.damaged:
                self.notes.add("damaged_frames", f"{whole.damaged} video packets or frames are damaged")
            if whole.assumed_rate and sampled is not None:
                self.notes.add("guessed_times", "frames have no time stamps; their times follow from the frame rate")
            return sampled, wanted

    def _demux(self, container: InputContainer, thorough: bool = False) -> tuple[VideoStream | None, list[Packet]]:
        """One pass over the file: sound is decoded as it comes, video packets are kept until their times are known."""
        stream = self._video_stream(container) if self.params.frames else None
        audio = None if self.sound_done else choose_audio(container, self.params.audio_track, self.notes)
        listener = Listener(audio, self.params.max_seconds) if audio is not None else None
        packets: list[Packet] = []
        limit = _Limit(self.params.max_seconds)
        demuxer = container.demux([one for one in (audio, stream) if one is not None]) if audio or stream else iter(())
        try:
            for packet in demuxer:
                if packet.stream is stream:
                    limit.check(packet)
                    packets.append(packet)
                elif listener is not None:
                    listener.push(packet)
        except av.FFmpegError as error:  # truncated or damaged from here on: keep what came before
            self.notes.add("truncated", f"reading stopped before the end: {error.strerror or error}")
        if listener is not None:
            self.sound = listener.finish(self.notes)
            if self.sound is None and not thorough:
                raise DoubtError("the sound stream gave nothing")
            note_shortfall(self.notes, "short_sound", audio, len(self.sound.samples) / RATE if self.sound else 0.0)
        self.sound_done = True
        return stream, packets

    def _video_stream(self, container: InputContainer) -> VideoStream | None:
        """The main video stream; a cover picture attached to a song is not video."""
        attached = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        moving = [stream for stream in container.streams.video if not stream.disposition & attached]
        known = [stream for stream in moving if stream.codec_context is not None]
        if moving and not known:
            self.notes.add("no_frames", "no decoder for the video stream")
        if len(known) > 1:
            self.notes.add("several_video_tracks", f"took the first of {len(known)} video tracks")
        stream = known[0] if known else None
        if stream is not None and stream.width * stream.height > self.params.max_pixels:
            raise errors.TooManyPixelsError(
                f"a frame of {stream.width} x {stream.height} is above decode.max_pixels = {self.params.max_pixels}"
            )
        return stream

    def _check_length(self, seconds: float) -> None:
        if seconds > self.params.max_seconds:
            raise errors.TooLongError(f"video is longer than decode.max_seconds = {self.params.max_seconds:g}")

    def _assemble(self, picture: Sampled | None) -> Media:
        """Put audio and frames on one clock that starts with the first of them."""
        sound, shots = self.sound, picture.shots if picture else []
        starts = [part.start for part in (picture, sound) if part is not None]
        origin = min(starts, default=0.0)
        audio = None if sound is None else _on_clock(sound.samples, sound.start - origin, self.params)
        if audio is None and not shots:
            raise errors.NothingDecodedError("; ".join(["neither audio nor video could be decoded", *self._messages()]))
        if picture is not None:
            self._note_picture(picture)
        ends = [len(audio) / RATE if audio is not None else 0.0, picture.end - origin if picture and shots else 0.0]
        times = [shot.time - origin for shot in shots]
        size = shots[0].size if shots else (0, 0)
        return Media(audio, [shot.image for shot in shots], times, max(ends), *size)

    def _messages(self) -> list[str]:
        return [note.message for note in self.notes.notes]

    def _note_picture(self, picture: Sampled) -> None:
        got, asked = len(picture.shots), self.params.frames
        if got < asked:
            self.notes.add("few_frames", f"{got} of {asked} frames: the video has {picture.available}")
        if flat := flat_ones(picture.shots):
            self.notes.add("flat_frames", f"{flat} of {got} frames are of one flat colour")
        if any(shot.tilted for shot in picture.shots):
            self.notes.add("tilted_frames", "the display matrix is no quarter turn; took the nearest")


class _Limit:
    """Stops reading a stream once it has run longer than the limit: a header's word on length is not needed."""

    def __init__(self, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self.first: float | None = None

    def check(self, packet: Packet) -> None:
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None or packet.is_discard:
            return
        time = float(ticks * packet.time_base)
        self.first = time if self.first is None else min(self.first, time)
        if time - self.first > self.max_seconds:
            raise errors.TooLongError(f"video is longer than decode.max_seconds = {self.max_seconds:g}")


def _on_clock(samples: NDArray[np.float32], start: float, params: DecodeParams) -> NDArray[np.float32]:
    """Silence before audio that begins later than the clip."""
    if start > params.max_seconds:
        raise errors.TooLongError(f"audio begins after decode.max_seconds = {params.max_seconds:g}")
    return np.concatenate([np.zeros(round(start * RATE), np.float32), samples])
