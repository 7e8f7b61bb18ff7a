"""One clip, opened once: 16 kHz mono audio and frames sampled evenly over time."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mer.media import errors
from mer.media.audio import Waveform
from mer.media.frames import sample
from mer.media.picture import Picture
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.track import track, wanted_times

if TYPE_CHECKING:
    from mer.params import DecodeParams

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,"
    "wav,w64,aiff,flac,mp3,aac,amr,ac3,h264,hevc,m4v,mxf,gif,y4m,yuv4mpegpipe"
)
"""Demuxers that read one self-contained file. Playlists and scripts, which open other files, are not among them."""
OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": FORMATS,
    # Keeps FFmpeg from decoding the first frames only to guess what the decoder will tell: a tenth of the time.
    "codec_whitelist": "none",
}


@dataclass(frozen=True)
class Media:
    """What one clip holds, on the clip's own clock: second 0 is its first sample or frame.

    `audio` is float32 [samples] at 16 kHz mono, None where there is none; `frames` are uint8 [H, W, 3] RGB shown at
    `timestamps`, in seconds. `width` and `height` are the size as displayed, before scaling; 0 without video.
    """

    audio: NDArray[np.float32] | None
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    timestamps: list[float] = field(default_factory=list)
    duration: float = 0.0
    width: int = 0
    height: int = 0


def decode_clip(path: str | Path, params: DecodeParams) -> Media:
    """Decode one file in this process; hostile files belong in `mer.media.sandbox`.

    Raises:
        MediaError: the file is missing, no media, beyond a limit, or has neither audio nor video that decodes.
    """
    _check_file(Path(path))
    try:
        with av.open(f"file:{path}", options=dict(OPTIONS), metadata_errors="replace") as container:
            return _decode(container, params)
    except av.FFmpegError as error:
        raise errors.NotMediaError(error.strerror or str(error)) from None


def _check_file(path: Path) -> None:
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


def _decode(container: InputContainer, params: DecodeParams) -> Media:
    if container.duration and container.duration / av.time_base > params.max_seconds:
        seconds = container.duration / av.time_base
        raise errors.TooLongError(f"{seconds:.0f} s is longer than decode.max_seconds = {params.max_seconds:g}")
    video = _video_stream(container) if params.frames else None
    if video is not None and video.width * video.height > params.max_pixels:
        raise errors.TooManyPixelsError(
            f"a frame of {video.width} x {video.height} is above decode.max_pixels = {params.max_pixels}"
        )
    packets, sound = _demux(container, video, params)
    return _assemble(video, packets, sound, params)


def _video_stream(container: InputContainer) -> VideoStream | None:
    """The main video stream; a cover picture attached to a song is not video."""
    for stream in container.streams.video:
        attached = stream.disposition & av.stream.Disposition.attached_pic
        if not attached and stream.codec_context is not None:
            return stream
    return None


def _demux(
    container: InputContainer, video: VideoStream | None, params: DecodeParams
) -> tuple[list[Packet], tuple[float, NDArray[np.float32]] | None]:
    """One pass over the file: audio is decoded as it comes, video packets are kept until their times are known."""
    audio = container.streams.best("audio")
    if audio is not None and audio.codec_context is None:
        audio = None
    streams = [stream for stream in (audio, video) if stream is not None]
    packets: list[Packet] = []
    waveform = Waveform(params.max_seconds)
    demuxer = container.demux(streams) if streams else iter(())
    while True:
        try:
            packet = next(demuxer, None)
        except av.FFmpegError:  # truncated or damaged from here on: keep what came before
            break
        if packet is None:
            break
        if packet.stream is video:
            packets.append(packet)
            continue
        try:
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    waveform.push(frame)
        except (av.FFmpegError, ValueError):
            continue
    return packets, waveform.finish()


def _assemble(
    stream: VideoStream | None,
    packets: list[Packet],
    sound: tuple[float, NDArray[np.float32]] | None,
    params: DecodeParams,
) -> Media:
    """Put audio and frames on one clock that starts with the first of them."""
    video = track(stream, packets) if stream is not None else None
    seconds = (float(video.start * video.time_base), float(video.end * video.time_base)) if video else None
    if seconds and seconds[1] - seconds[0] > params.max_seconds:
        raise errors.TooLongError(f"video is longer than decode.max_seconds = {params.max_seconds:g}")
    starts = [begin for begin in (seconds and seconds[0], sound and sound[0]) if begin is not None]
    origin = min(starts, default=0.0)

    frames, timestamps, size = [], [], (0, 0)
    if stream is not None and video is not None:
        picture = Picture(stream, params.max_side)
        for time, frame in sample(video, wanted_times(video, params.frames), max_pixels=params.max_pixels):
            frames.append(picture.rgb(frame))
            timestamps.append(float(time * video.time_base) - origin)
            size = size if any(size) else picture.shown_size(frame)

    audio = None if sound is None else _on_clock(sound[1], sound[0] - origin, params)
    if audio is None and not frames:
        raise errors.NothingDecodedError("neither audio nor video could be decoded")
    ends = [len(audio) / RATE if audio is not None else 0.0, seconds[1] - origin if seconds and frames else 0.0]
    return Media(audio, frames, timestamps, max(ends), *size)


def _on_clock(samples: NDArray[np.float32], start: float, params: DecodeParams) -> NDArray[np.float32]:
    """Silence before audio that begins later than the clip."""
    if start > params.max_seconds:
        raise errors.TooLongError(f"audio begins after decode.max_seconds = {params.max_seconds:g}")
    return np.concatenate([np.zeros(round(start * RATE), np.float32), samples])
