"""Decoded audio frames to one 16 kHz mono waveform on the clip's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from mer.media.errors import TooLongError
from mer.media.rate import SAMPLE_RATE as RATE

GAP_SECONDS = 0.1
"""A jump in the time stamps below this is jitter; above it, silence was left out."""
TOGETHER = 64
"""Frames that go through the resampler at once: each passage costs more than the resampling of one frame."""
CANCELLED = 1e-3
"""Power of the mix, as a share of the channels' mean power, below which they cancel: 30 dB."""
JOINED = "fltp"
"""Format whose frames are joined: that of AAC, MP3, Opus, Vorbis and AC-3, which come in frames of some 20 ms."""


class Resampler:
    """One stretch of audio whose format does not change, resampled to 16 kHz and mixed to mono.

    FFmpeg mixes stereo to mono with 0.707 a channel, 1.414 times the mean; `rematrix_maxval` scales the weights
    of any layout to sum to one, so stereo gives the mean of the channels, and 5.1 the usual mix at the same level.
    """

    def __init__(self, first: AudioFrame) -> None:
        self.format, self.layout, self.rate = first.format.name, first.layout.name, first.sample_rate
        self.graph = av.filter.Graph()
        source = self.graph.add_abuffer(
            sample_rate=self.rate, format=self.format, layout=self.layout, time_base=Fraction(1, self.rate)
        )
        resample = self.graph.add("aresample", f"{RATE}:rematrix_maxval=1:out_chlayout=mono:out_sample_fmt=flt")
        self.graph.link_nodes(source, resample, self.graph.add("abuffersink")).configure()
        self.waiting: list[AudioFrame] = []
        self.chunks: list[NDArray[np.float32]] = []
        self.channels = first.layout.nb_channels
        self.energy = 0.0
        """Sum of squares over all channels and samples, full scale being 1; counted for several channels only."""

    def push(self, frame: AudioFrame) -> None:
        self.waiting.append(frame)
        if len(self.waiting) == TOGETHER:
            self._resample()

    def finish(self) -> NDArray[np.float32]:
        """Float32 [samples] at 16 kHz."""
        self._resample()
        self.graph.push(None)
        self._pull()
        return np.concatenate(self.chunks) if self.chunks else np.zeros(0, np.float32)

    def _resample(self) -> None:
        frames, self.waiting = self.waiting, []
        for frame in [self._join(frames)] if frames and self.format == JOINED else frames:
            if self.channels > 1:
                self.energy += energy(frame)
            frame.pts = None  # the stretch is contiguous; its place on the clock is kept by Waveform
            self.graph.push(frame)
        self._pull()

    def _join(self, frames: Sequence[AudioFrame]) -> AudioFrame:
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
        joined = AudioFrame.from_ndarray(samples, self.format, self.layout)
        joined.sample_rate = self.rate
        return joined

    def _pull(self) -> None:
        while True:
            try:
                self.chunks.append(self.graph.pull().to_ndarray()[0])
            except (BlockingIOError, av.EOFError):
                return


def energy(frame: AudioFrame) -> float:
    """Sum of squares over all channels and samples of a frame, full scale being 1."""
    samples = frame.to_ndarray()
    flat = samples.ravel().astype(np.float32, copy=False)
    if samples.dtype.kind == "u":  # eight bits, the only unsigned kind that FFmpeg has
        flat = flat - 128
    full_scale = 1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.dtype.itemsize - 1)
    return float(np.dot(flat, flat)) / full_scale**2


class Waveform:
    """Collects the audio frames of one stream, in decoding order.

    A stretch ends where the format changes or the time stamps jump forward; silence fills the jump.
    """

    def __init__(self, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self.stretches: list[tuple[float, NDArray[np.float32]]] = []
        self.current: Resampler | None = None
        self.format: tuple[str, str, int] | None = None
        self.start = 0.0
        self.end = 0.0
        self.broken = 0
        """Samples that are infinite or no numbers; they count as silence."""
        self.channel_power = self.mix_power = 0.0

    def push(self, frame: AudioFrame) -> None:
        """Take the next frame.

        Raises:
            TooLongError: the audio reaches beyond `max_seconds` after its first sample.
        """
        if not frame.samples or not frame.sample_rate:
            return
        time = self.end if frame.time is None else frame.time
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self.current is None or kind != self.format or time - self.end > GAP_SECONDS:
            self._finish_stretch()
            if not self.stretches or time > self.end:
                self.end = time
            self.current, self.format, self.start = Resampler(frame), kind, self.end
        self.current.push(frame)
        self.end += frame.samples / frame.sample_rate
        first = self.stretches[0][0] if self.stretches else self.start
        if self.end - first > self.max_seconds:
            raise TooLongError(f"audio is longer than decode.max_seconds = {self.max_seconds:g}")

    def finish(self) -> tuple[float, NDArray[np.float32]] | None:
        """Start in seconds and waveform, float32 [samples] at 16 kHz; None where nothing was decoded."""
        self._finish_stretch()
        if not self.stretches:
            return None
        origin = self.stretches[0][0]
        placed = [(round((start - origin) * RATE), samples) for start, samples in self.stretches]
        waveform = np.zeros(max(at + len(samples) for at, samples in placed), np.float32)
        for at, samples in placed:
            waveform[at : at + len(samples)] = samples
        return (origin, waveform) if len(waveform) else None

    @property
    def cancels(self) -> bool:
        """Whether the mono mix is nearly silent though the channels are not."""
        return self.mix_power < CANCELLED * self.channel_power

    def _finish_stretch(self) -> None:
        if self.current is None:
            return
        samples = self.current.finish()
        broken = ~np.isfinite(samples)
        if broken.any():
            self.broken += int(broken.sum())
            samples = np.where(broken, np.float32(0), samples)
        if self.current.channels > 1:
            self.channel_power += self.current.energy / self.current.channels / self.current.rate
            self.mix_power += float(np.dot(samples, samples)) / RATE
        self.stretches.append((self.start, samples))
        self.current = None
