"""Whisper's encoder on the clip's own frames, or on the 30 seconds that it was trained with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from mer.media.rate import SAMPLE_RATE


class Whisper:
    """Forward pass of one model.

    Whisper was trained on full windows: a clip was padded with silence to 30 seconds. With `full_window` it still is,
    and frames of that silence are dropped from what comes out, never pooled. Otherwise a clip is encoded as long as it
    is, the positions cut to fit: a clip of 3 seconds then costs a tenth.
    """

    def __init__(self, model: Any, folder: Path, dtype: torch.dtype, *, full_window: bool = True) -> None:
        self._model = model.to(dtype)
        self._dtype = dtype
        self._full_window = full_window
        self._stride = model.conv1.stride[0] * model.conv2.stride[0]
        self._spectrogram = _feature_extractor(folder, model.config)
        self.dimensions, self.depth = int(model.config.d_model), len(model.layers)
        self.hop = self._stride * self._spectrogram.hop_length
        self.longest = model.config.max_source_positions * self.hop

    def frames(self, samples: int) -> int:
        """Frames that hear at least one of the clip's own samples."""
        return -(-samples // self.hop)

    def cost(self, samples: int) -> int:
        """Samples computed on for a clip."""
        return self.longest if self._full_window else samples

    def blocks(self, waveforms: Sequence[Tensor]) -> Iterator[Tensor]:
        """Output of each block in turn, [N, D] float32, for the packed frames of waveforms [samples]."""
        lengths = [self.frames(len(waveform)) for waveform in waveforms]
        mels = [self._log_mel(waveform) for waveform in waveforms]
        # Neighbours of one length are a batch: every clip of a full window, else mostly single clips.
        groups = [torch.stack(list(group)) for _, group in groupby(mels, key=lambda mel: mel.shape[1])]
        states = [self._embed(group) for group in groups]  # [B, T, D] each
        for layer in self._model.layers:
            states = [layer(x, None) for x in states]
            clips = [clip for x in states for clip in x]
            yield torch.cat([clip[:length] for clip, length in zip(clips, lengths, strict=True)]).float()

    def final(self, last: Tensor) -> Tensor:
        """What the model itself calls its output: the last block's, through the final norm."""
        return self._model.layer_norm(last.to(self._dtype)).float()

    def _embed(self, mel: Tensor) -> Tensor:
        """[B, bins, 2 * T] -> [B, T, D]."""
        x = torch.nn.functional.gelu(self._model.conv1(mel))
        x = torch.nn.functional.gelu(self._model.conv2(x)).transpose(1, 2)
        return x + self._model.embed_positions.weight[: x.shape[1]]

    def _log_mel(self, waveform: Tensor) -> Tensor:
        """[bins, stride * T] of the window, or of the clip's own frames as the window would have them."""
        hop, samples = self._spectrogram.hop_length, waveform.cpu().numpy()
        columns = self._stride * self.frames(len(samples))
        length = self.longest if self._full_window else min(self.longest, columns * hop + self._spectrogram.n_fft)
        mel = self._spectrogram(
            samples, sampling_rate=self._spectrogram.sampling_rate, max_length=length, return_tensors="pt"
        ).input_features[0]
        if not self._full_window:
            mel = mel[:, :columns]  # the transform's reflection at its end lies behind them
        return mel.to(device=waveform.device, dtype=self._dtype)


def _feature_extractor(folder: Path, config: Any) -> Any:
    if (folder / "preprocessor_config.json").is_file():
        return WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    seconds = config.max_source_positions * 2 * 160 // SAMPLE_RATE
    return WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=seconds)
