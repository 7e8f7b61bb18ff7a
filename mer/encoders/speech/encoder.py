"""Speech encoders: hidden layers of HuBERT and its kin, the same for a clip alone and in any batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.compute.device import inference
from mer.encoders.checkpoints.coverage import WeightReads
from mer.encoders.speech.checkpoint import Checkpoint, read_checkpoint, used_weights
from mer.encoders.speech.wav2vec import Wav2VecFamily
from mer.encoders.speech.whisper import Whisper
from mer.errors import ClipError, MerError, first_few
from mer.running.foreign import foreign

Dtype = Literal["float32", "bfloat16", "int8"]
Waveform = NDArray[np.float32]
PROBE_FRAMES = 3
"""Frames of the waveform on which a loaded encoder proves that it reads all its weights."""


def load_speech_encoder(
    path: str | Path, *, device: str = "cpu", dtype: Dtype = "float32", full_window: bool = True
) -> SpeechEncoder:
    """Load a speech encoder from a fairseq `.pt` or a Hugging Face folder.

    Read by looking: HuBERT and wav2vec 2.0 from fairseq; HuBERT, wav2vec 2.0, WavLM, data2vec-audio and Whisper's
    encoder from a folder with config.json and model.safetensors (or pytorch_model.bin).

    Raises:
        MerError: nothing readable there, or weights that do not fit; one line that names the file. Or int8 was asked
            for where it is not to be had.
    """
    return SpeechEncoder(read_checkpoint(path), device=device, dtype=dtype, full_window=full_window)


class SpeechEncoder:
    """A loaded encoder. Waveforms are float32 [samples] at 16 kHz in [-1, 1]."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str | torch.device = "cpu",
        dtype: Dtype = "float32",
        full_window: bool = True,
    ) -> None:
        """`full_window` is for Whisper: whether a clip is padded to the 30 seconds that it was trained with."""
        self._device = torch.device(device)
        self._epsilon = checkpoint.normalize_epsilon
        kind = getattr(torch, dtype)
        if dtype == "int8" and (checkpoint.family == "whisper" or self._device.type != "cpu"):
            raise MerError("audio.dtype: int8 is for HuBERT and its kin on a CPU; bfloat16 runs everywhere")
        model = checkpoint.model().to(self._device)
        with foreign(f"{checkpoint.path}: the model does not run"), WeightReads(used_weights(model)) as reads:
            self._forward: Wav2VecFamily | Whisper = (
                Whisper(model, checkpoint.path, kind, full_window=full_window)
                if checkpoint.family == "whisper"
                else Wav2VecFamily(model, kind)
            )
            self._probe()
        if unread := reads.unread():
            raise MerError(
                f"{checkpoint.path}: the forward pass of '{checkpoint.family}' does not read {len(unread)} of the "
                f"weights, so the features would be others than the model's: {first_few(unread)}"
            )

    @property
    def dimensions(self) -> int:
        """Width D of a frame."""
        return self._forward.dimensions

    @property
    def depth(self) -> int:
        """Number of transformer blocks."""
        return self._forward.depth

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self._forward.hop

    @property
    def longest(self) -> int:
        """Samples the encoder takes at once at most; longer clips must be windowed."""
        return self._forward.longest

    def frames(self, samples: int) -> int:
        """Frames T that a waveform of so many samples gives; 0 where it is too short for one."""
        return self._forward.frames(samples)

    def cost(self, samples: int) -> int:
        """Samples the encoder computes on for a waveform of so many: Whisper may fill its window."""
        return self._forward.cost(samples)

    def layers(self, waveforms: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Output of every block for each clip: float32 [n_blocks, T, D], as the model gives it for that clip alone.

        A pre-norm model's final layer norm is not applied; see `final`.

        Raises:
            ClipError: a waveform is not float [samples], or too short for one frame.
        """
        clips = self._prepare(waveforms)
        return self._unpack(clips, lambda blocks: torch.stack(list(blocks)))

    def final(self, waveforms: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """The model's own output for each clip, [T, D]: the last block's, normed where the model is pre-norm."""

        def last(blocks: Iterator[Tensor]) -> Tensor:
            *_, output = blocks
            return self._forward.final(output)

        return self._unpack(self._prepare(waveforms), last)

    def summed(self, waveforms: Sequence[Waveform], layers: Sequence[int]) -> list[NDArray[np.float32]]:
        """Sum of the chosen blocks' outputs for each clip, [T, D]; block 0 is the first, -1 the last.

        Raises:
            ClipError: as for `layers`.
        """
        chosen = {layer % self.depth for layer in layers}

        def add(blocks: Iterator[Tensor]) -> Tensor:
            total: Tensor | None = None
            for index, block in enumerate(blocks):
                if index in chosen:
                    total = block.clone() if total is None else total.add_(block)
            assert total is not None, "no layer chosen"
            return total

        return self._unpack(self._prepare(waveforms), add)

    def concatenated(self, waveforms: Sequence[Waveform], layers: Sequence[int]) -> list[NDArray[np.float32]]:
        """The chosen blocks' outputs side by side for each clip, [T, len(layers) * D], in the order of `layers`.

        Raises:
            ClipError: as for `layers`.
        """
        chosen = [layer % self.depth for layer in layers]

        def join(blocks: Iterator[Tensor]) -> Tensor:
            kept = {index: block.clone() for index, block in enumerate(blocks) if index in chosen}
            return torch.cat([kept[index] for index in chosen], dim=-1)

        return self._unpack(self._prepare(waveforms), join)

    def _prepare(self, waveforms: Sequence[Waveform]) -> list[Tensor]:
        """Check the waveforms, move them to the device, normalise where the model was trained so."""
        clips = []
        for waveform in waveforms:
            if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
                raise ClipError(f"waveform is {waveform.dtype} {list(waveform.shape)}, not float [samples] in mono")
            if self.frames(len(waveform)) == 0:
                raise ClipError(f"{len(waveform)} samples are too short for one frame")
            if len(waveform) > self.longest:
                raise ClipError(f"{len(waveform)} samples are more than the {self.longest} this encoder hears at once")
            clip = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)).to(self._device)
            if self._epsilon is not None:
                clip = (clip - clip.mean()) * torch.rsqrt(clip.var(correction=0) + self._epsilon)
            clips.append(clip)
        return clips

    @inference()
    def _probe(self) -> None:
        """Run everything once on the shortest waveform of a few frames."""
        samples = next(
            samples for samples in itertools.count(self.hop, self.hop) if self.frames(samples) >= PROBE_FRAMES
        )
        *_, last = self._forward.blocks([torch.zeros(min(samples, self.longest), device=self._device)])
        if not torch.isfinite(self._forward.final(last)).all():
            raise ValueError("it gives values that are not finite numbers")

    @inference()
    def _unpack(self, clips: list[Tensor], reduce: Callable[[Iterator[Tensor]], Tensor]) -> list[NDArray[np.float32]]:
        """Run the blocks, reduce their packed outputs to [..., N, D], and cut that into one array a clip."""
        if not clips:
            return []
        packed = reduce(self._forward.blocks(clips)).cpu()
        lengths = [self.frames(len(clip)) for clip in clips]
        return [part.numpy() for part in packed.split(lengths, dim=-2)]
