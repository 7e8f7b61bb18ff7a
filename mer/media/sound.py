"""The sound stream of a container: which one, and its samples."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from mer.media.audio import Waveform
from mer.media.errors import DoubtError
from mer.media.notes import Notebook

SILENCE = 10 ** (-90 / 20)
"""Peak below which sound is digital silence: less than one step of 16 bits."""


@dataclass(frozen=True)
class Sound:
    """Float32 [samples] at 16 kHz, the first at `start` seconds on the container's clock."""

    start: float
    samples: NDArray[np.float32]


def choose_audio(container: InputContainer, track: int | str, notes: Notebook) -> AudioStream | None:
    """The stream that `decode.audio_track` names: 'default' (as FFmpeg chooses), its number from 0, or a language.

    Where a file lacks it, the default one is taken and noted.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        if container.streams.audio:
            notes.add("no_sound", "no decoder for the sound stream")
        return None
    default = container.streams.best("audio")
    chosen = default if default is not None and default in streams else streams[0]
    if track != "default":
        matching = [s for number, s in enumerate(streams) if track in (number, str(number), _language(s))]
        if matching:
            chosen = matching[0]
        else:
            notes.add("audio_track_missing", f"no sound track '{track}' (decode.audio_track); took {_describe(chosen)}")
    if len(streams) > 1:
        others = ", ".join(_describe(stream) for stream in streams)
        notes.add("several_audio_tracks", f"took {_describe(chosen)} of {others}; see decode.audio_track")
    return chosen


def is_known(stream: AudioStream) -> bool:
    """Whether the header says enough for FFmpeg to choose and time the stream; else only its decoder knows."""
    return bool(stream.codec_context is None or (stream.sample_rate and stream.channels))


class Listener:
    """Decodes one sound stream packet by packet, as the container gives them."""

    def __init__(self, stream: AudioStream, max_seconds: float) -> None:
        self.stream = stream
        self.waveform = Waveform(max_seconds)
        self.packets = self.damaged = 0
        self.flushed = False

    def push(self, packet: Packet | None) -> None:
        """Take the next packet; None, or one without bytes, ends the stream.

        Raises:
            TooLongError: the sound is longer than `max_seconds`.
        """
        end = packet is None or not packet.size
        if self.flushed or (end and packet is not None and any(True for _ in packet.iter_sidedata())):
            return
        self.flushed = end
        self.packets += not end
        try:
            for frame in self.stream.codec_context.decode(None if end else packet):
                if isinstance(frame, av.AudioFrame):
                    self.waveform.push(frame)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            self.damaged += 1

    def finish(self, notes: Notebook) -> Sound | None:
        """The samples, None where there were none, and notes on what is wrong with them."""
        self.push(None)
        result = self.waveform.finish()
        if result is None:
            packets = f"{self.packets} packets" if self.packets else "no packets"
            notes.add("no_sound", f"{_describe(self.stream)}: {packets}, none of which gave samples")
            return None
        sound = Sound(*result)
        if self.damaged:
            notes.add("damaged_sound", f"{self.damaged} of {self.packets} sound packets did not decode")
        if self.waveform.broken:
            notes.add("broken_samples", f"{self.waveform.broken} samples are infinite or no numbers")
        if self.waveform.cancels:
            notes.add("cancelled_mix", "the channels cancel each other: the mono mix is far quieter than they are")
        elif float(np.abs(sound.samples).max(initial=0.0)) < SILENCE:
            notes.add("silent_sound", f"{_describe(self.stream)} is silent throughout")
        return sound


def require_known(container: InputContainer) -> None:
    """Raises `DoubtError` where the header leaves a sound stream's rate or channels open."""
    if not all(map(is_known, container.streams.audio)):
        raise DoubtError("only the decoder knows the sound's rate and channels")


def _language(stream: AudioStream) -> str | None:
    return stream.metadata.get("language")


def _describe(stream: AudioStream) -> str:
    number = list(stream.container.streams.audio).index(stream)
    language = _language(stream)
    return f"track {number} ({stream.codec_context.name}{f', {language}' if language else ''})"
