"""Modality encoders: transformer blocks over the tokens of one modality's views."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Projects each view of a modality to tokens of the common width, and runs transformer blocks over them.

    An utterance vector is one token, frames are several. Each view has a projection of its own, so that tokens tell
    which view they come from.
    """

    def __init__(self, features: Sequence[int], width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(columns, width) for columns in features)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, views: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Encode the tokens of all views together.

        Args:
            views: [B, D_v], or [B, T_v, D_v] of frames, a view.
            mask: bool [B, T], the real tokens, views side by side; None means all.

        Returns:
            [B, W], the mean over the real tokens.

        Raises:
            ValueError: a view has another rank.
        """
        for x in views:
            if x.dim() not in (2, 3):
                raise ValueError(f"expected [B, D] or [B, T, D], found {list(x.shape)}")
        tokens = [project(x if x.dim() == 3 else x[:, None]) for project, x in zip(self.project, views, strict=True)]
        h = tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=1)  # [B, T, W]
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
