"""Modality encoders: transformer blocks over the tokens of one modality's views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer.model.blocks import BlockWeights


class Frames(NamedTuple):
    """Frames of a batch: `values` [B, T, D], `real` bool [B, T]; the others are padding."""

    values: Tensor
    real: Tensor


class AttentionPooling(nn.Module):
    """Frames to K tokens, each a mean of the projected frames with weights of its own (Lin et al., ICLR 2017, equations
    6 and 7): A = softmax(W_s2 tanh(W_s1 H)), M = A H."""

    def __init__(self, features: int, width: int, tokens: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.score = nn.Linear(width, tokens, bias=False)
        self.project = nn.Linear(features, width)

    def forward(self, frames: Frames) -> Tensor:
        """[B, T, D] -> [B, K, W]; padding has no weight."""
        x, real = frames
        score = self.score(torch.tanh(self.hidden(x)))  # [B, T, K]
        share = score.masked_fill(~real[..., None], -1e9).softmax(dim=1) * real[..., None]
        return self.project(share.transpose(1, 2) @ x)  # a projected mean is the mean of projections


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

    Args:
        features: columns of each view's utterance vector.
        width, blocks, heads: of the transformer.
        frames: columns of a view's frames, where it has them; they then take the place of its vector.
        tokens: how many attention pooling makes of a view's frames.
        mixed: how many blocks a view's vector is to be weighted of, by its place here.
    """

    def __init__(
        self,
        features: Sequence[int],
        width: int,
        blocks: int,
        heads: int,
        frames: Sequence[int | None] | None = None,
        tokens: int = 1,
        mixed: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.tokens = [1 if of is None else tokens for of in frames or [None] * len(features)]
        self.project = nn.ModuleList(
            _projection(columns, width, (mixed or {}).get(i, 1)) if of is None else AttentionPooling(of, width, tokens)
            for i, (columns, of) in enumerate(zip(features, frames or [None] * len(features), strict=True))
        )
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def token_mask(self, views: Sequence[Tensor | Frames], present: Tensor) -> Tensor | None:
        """Which tokens are real, bool [B, T], where `present` bool [B, V] says which views are; None where the only
        view is a vector: what is absent is masked behind the encoder."""
        if len(views) == 1 and not isinstance(views[0], Frames):
            return None
        return torch.cat(
            [
                (present[:, i] & x.real.any(dim=1) if isinstance(x, Frames) else present[:, i])[:, None].expand(-1, n)
                for i, (x, n) in enumerate(zip(views, self.tokens, strict=True))
            ],
            dim=1,
        )

    def forward(self, views: Sequence[Tensor | Frames], mask: Tensor | None = None) -> Tensor:
        """Encode the tokens of all views together.

        Args:
            views: [B, D_v], [B, T_v, D_v], each row a token, or frames to be pooled, a view.
            mask: bool [B, T], the real tokens, views side by side; None means all.

        Returns:
            [B, W], the mean over the real tokens.

        Raises:
            ValueError: a view has another rank.
        """
        tokens = []
        for project, x in zip(self.project, views, strict=True):
            if isinstance(x, Frames):
                tokens.append(project(x))
            elif x.dim() in (2, 3):
                tokens.append(project(x if x.dim() == 3 else x[:, None]))
            else:
                raise ValueError(f"expected [B, D] or [B, T, D], found {list(x.shape)}")
        h = tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=1)  # [B, T, W]
        for block in self.blocks:
            h = block(h, mask)
        h = self.norm(h)
        if mask is None:
            return h.mean(dim=1)
        weight = mask[..., None].to(h)
        return (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _projection(columns: int, width: int, blocks: int) -> nn.Module:
    if blocks == 1:
        return nn.Linear(columns, width)
    return nn.Sequential(BlockWeights(blocks), nn.Linear(columns // blocks, width))


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
