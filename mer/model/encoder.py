"""Modality encoders: transformer blocks over the time axis of one modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Pre-norm transformer block over [B, T, W]; attention runs over T, never over the batch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, W] -> [B, T, W]; `mask` bool [B, T] marks the real frames."""
        x = x + self.output(self._attend(self.norm_attention(x), mask))
        return x + self.mlp(self.norm_mlp(x))

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        value = self.value(x)  # [B, T, W]
        if x.shape[1] == 1:  # attention over one frame is that frame
            return value
        shape = (*x.shape[:2], self.heads, -1)
        q, k = (part.reshape(shape).transpose(1, 2) for part in self.query_key(x).chunk(2, dim=-1))  # [B, heads, T, W']
        score = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # [B, heads, T, T]
        if mask is not None:
            score = score.masked_fill(~mask[:, None, None, :], -1e9)
        mixed = score.softmax(dim=-1) @ value.reshape(shape).transpose(1, 2)
        return mixed.transpose(1, 2).reshape(x.shape)


class ModalityEncoder(nn.Module):
    """Projects one modality's features to the common width and runs transformer blocks over time."""

    def __init__(self, features: int, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode utterance vectors or frames.

        Args:
            x: [B, D], or [B, T, D] of frames.
            mask: bool [B, T], the real frames; None means all.

        Returns:
            [B, W], the mean over the real frames.

        Raises:
            ValueError: `x` has another rank.
        """
        if x.dim() not in (2, 3):
            raise ValueError(f"expected [B, D] or [B, T, D], found {list(x.shape)}")
        h = self.project(x if x.dim() == 3 else x[:, None])  # [B, T, W]
        for block in self.blocks:
            h = block(h, mask)
        h = self.norm(h)
        if mask is None:
            return h.mean(dim=1)
        weight = mask[..., None].to(h)
        return (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class InvariantEncoder(nn.Module):
    """One shared network for all modalities: F-hat to H."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., W] -> [..., W]."""
        return x + self.layers(x)


def masked(x: Tensor, present: Tensor) -> Tensor:
    """Zero the rows [B, W] of clips in which the modality is absent (present bool [B])."""
    return torch.where(present[:, None], x, x.new_zeros(()))
