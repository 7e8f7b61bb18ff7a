"""Utterance features from a speech encoder: windows, the chosen layers, pooling over valid frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mer.compute.device import pick_device
from mer.encoders.base import Features, absent, kept_frames
from mer.encoders.batching import Window, runs, windows
from mer.encoders.speech.checkpoint import Checkpoint, digest, read_checkpoint
from mer.encoders.speech.encoder import SpeechEncoder, Waveform
from mer.errors import MerError
from mer.media.rate import SAMPLE_RATE
from mer.params import AudioParams
from mer.running.foreign import foreign

VERSION = 2
"""Raised when the same parameters and weights would give other features than before."""

SHARES = ("max_failed", "max_lost")
GOLDEN = "778c026b0b96fdda"
"""What a fixed input gave under this version: see tests/golden.py."""

SILENCE = 1e-4
"""Peak amplitude (-80 dB of full scale) under which a track carries no speech: lossy codecs leave less than this."""


class SpeechFeatures:
    """The speech side of `mer.encoders.base.Encoder`, steered by the `audio` section of the params.

    Making one reads the configuration only; the weights are loaded at the first `encode`, so that it can be made
    (or sent) where it is cheap and used in a worker process.

    Raises:
        MerError: `audio.model` is no speech encoder, or `audio.layers` asks for a block it does not have.
    """

    def __init__(self, params: AudioParams) -> None:
        self._params = params
        config = self._checkpoint.config
        with foreign(f"audio.model: {params.model}: its configuration"):
            depth, width = int(config.num_hidden_layers), int(config.hidden_size)
        layers = range(depth) if params.layers == "all" else params.layers
        for layer in layers:
            if not -depth <= layer < depth:
                raise MerError(f"audio.layers: {layer} is out of range, {params.model} has {depth} blocks")
        # Block -1 and block depth - 1 are one; it counts once.
        self._layers = list(dict.fromkeys(layer % depth for layer in layers))
        together = 1 if params.combine == "sum" else len(self._layers)
        self.blocks = len(self._layers) if params.combine == "weighted" else 1
        self._frame_width = width * together

    @property
    def dimensions(self) -> int:
        """Width of the embeddings: that of a frame, twice that for mean and deviation."""
        return self._frame_width * (2 if self._params.pooling == "mean_std" else 1)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the weights' bytes and of the parameters that decide the output.

        `device` and `batch_seconds` are left out: they change the last bits of a float at most. The shares of clips
        that may fail decide nothing, and stand in it with their defaults: as they did when results were kept by it.
        """
        beside = {"modality", "model", "device", "batch_seconds"}
        beside |= set() if self._checkpoint.family == "whisper" else {"full_window"}
        beside |= {"combine"} if self._params.combine == "sum" else set()  # so older results keep their keys
        decides = self._params.model_dump(exclude=beside)
        decides |= {name: AudioParams.model_fields[name].default for name in SHARES}
        text = json.dumps([VERSION, digest(self._params.model), decides], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def encode(self, batch: Sequence[Waveform]) -> list[Features]:
        """Features of each waveform, float32 [samples] at 16 kHz; what a clip gets does not depend on the batch.

        Empty, shorter than one frame (25 ms), silent or unreadable audio gives `ok = False` and a note. Samples that
        are not finite count as silence.
        """
        faults = [self._fault(waveform) for waveform in batch]
        heard = [_finite(waveform) for waveform, fault in zip(batch, faults, strict=True) if not fault]
        frames = iter(self._frames(heard))
        return [absent(self.dimensions, fault) if fault else self._pool(next(frames)) for fault in faults]

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return read_checkpoint(self._params.model)

    @cached_property
    def _encoder(self) -> SpeechEncoder:
        device = pick_device(self._params.device, "audio.device")
        params = self._params
        return SpeechEncoder(self._checkpoint, device=device, dtype=params.dtype, full_window=params.full_window)

    def _fault(self, waveform: Waveform) -> str:
        """Why a waveform has no features, in a few words; empty where it has."""
        if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
            return f"audio is {waveform.dtype} {list(waveform.shape)}, not float mono"
        if len(waveform) == 0:
            return "no audio"
        if self._encoder.frames(len(waveform)) == 0:
            return f"audio of {1000 * len(waveform) / SAMPLE_RATE:.0f} ms is too short"
        finite = np.isfinite(waveform)
        if not finite.any():
            return "no finite samples"
        if np.abs(waveform[finite]).max() < SILENCE:
            return "silent"
        return ""

    def _frames(self, waveforms: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Summed layers [T, D] of each clip, its windows stitched."""
        plan = [(clip, window) for clip, waveform in enumerate(waveforms) for window in self._windows(len(waveform))]
        costs = [self._encoder.cost(window.stop - window.start) for _, window in plan]
        pieces: list[list[NDArray[np.float32]]] = [[] for _ in waveforms]
        for part in runs(costs, round(self._params.batch_seconds * SAMPLE_RATE)):
            inputs = [waveforms[clip][window.start : window.stop] for clip, window in plan[part]]
            outputs = self._combined(inputs)
            for (clip, window), output in zip(plan[part], outputs, strict=True):
                pieces[clip].append(output[window.first : window.last])
        return [np.concatenate(clip) for clip in pieces]

    def _combined(self, inputs: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        combine = self._encoder.summed if self._params.combine == "sum" else self._encoder.concatenated
        return combine(inputs, self._layers)

    def _windows(self, samples: int) -> list[Window]:
        encoder, params = self._encoder, self._params
        window = min(round(params.window_seconds * SAMPLE_RATE), encoder.longest)
        overlap = round(params.overlap_seconds * SAMPLE_RATE)
        return windows(samples, window=window, overlap=overlap, hop=encoder.hop, frames=encoder.frames)

    def _pool(self, frames: NDArray[np.float32]) -> Features:
        embedding = frames.mean(0, dtype=np.float64)
        if self._params.pooling == "mean_std":
            parts = [of.reshape(self.blocks, -1) for of in (embedding, frames.std(0, dtype=np.float64))]
            embedding = np.concatenate(parts, axis=1).reshape(-1)  # a block's mean and deviation stay together
        values = kept_frames(frames) if self._params.frames else None
        return Features(embedding.astype(np.float32), frames=len(frames), ok=True, values=values)


def _finite(waveform: Waveform) -> Waveform:
    return np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
