"""Whisper's encoder: a log-mel spectrogram of 30 seconds, of which the clip's own frames are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from mer.media.rate import SAMPLE_RATE


class Whisper:
    """Forward pass of one model. Whisper always hears a full window, so clips are padded with silence to it;
    frames of that silence are dropped from what comes out, and never pooled.
    """

    def __init__(self, model: Any, folder: Path, dtype: torch.dtype) -> None:
        self._model = model.to(dtype)
        self._dtype = dtype
        stride = model.conv1.stride[0] * model.conv2.stride[0]
        self._spectrogram = _feature_extractor(folder, model.config)
        self.dimensions, self.depth = int(model.config.d_model), len(model.layers)
        self.hop = stride * self._spectrogram.hop_length
        self.longest = model.config.max_source_positions * self.hop

    def frames(self, samples: int) -> int:
        """Frames that hear at least one of the clip's own samples."""
        return -(-samples // self.hop)

    def cost(self, samples: int) -> int:
        """Samples computed on for a clip: a full window."""
        return self.longest

    def blocks(self, waveforms: Sequence[Tensor]) -> Iterator[Tensor]:
        """Output of each block in turn, [N, D] float32, for the packed frames of waveforms [samples]."""
        lengths = [self.frames(len(waveform)) for waveform in waveforms]
        model = self._model
        mel = torch.stack([self._log_mel(waveform) for waveform in waveforms])  # [B, bins, 2 * positions]
        x = torch.nn.functional.gelu(model.conv1(mel))
        x = torch.nn.functional.gelu(model.conv2(x)).transpose(1, 2)  # [B, positions, D]
        x = x + model.embed_positions.weight
        for layer in model.layers:
            x = layer(x, None)
            yield torch.cat([clip[:length] for clip, length in zip(x, lengths, strict=True)]).float()

    def final(self, last: Tensor) -> Tensor:
        """What the model itself calls its output: the last block's, through the final norm."""
        return self._model.layer_norm(last.to(self._dtype)).float()

    def _log_mel(self, waveform: Tensor) -> Tensor:
        mel = self._spectrogram(
            waveform.cpu().numpy(), sampling_rate=self._spectrogram.sampling_rate, return_tensors="pt"
        ).input_features[0]
        return mel.to(device=waveform.device, dtype=self._dtype)


def _feature_extractor(folder: Path, config: Any) -> Any:
    if (folder / "preprocessor_config.json").is_file():
        return WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    seconds = config.max_source_positions * 2 * 160 // SAMPLE_RATE
    return WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=seconds)
