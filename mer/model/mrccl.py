"""MR-CCL (Fan et al., MRAC 2024): modality encoders, a shared invariant encoder, a classifier each and a fused one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mer.model.blocks import BlockWeights
from mer.model.encoder import Frames, InvariantEncoder, ModalityEncoder
from mer.model.views import Views, presence


class Encoders(nn.Module):
    """F to F-hat (modality encoders) and F-hat to H (the shared invariant encoder): what pretraining trains.

    Of views that have frames these go in, pooled to `tokens` tokens, in place of the vector.
    """

    def __init__(self, views: Views, width: int, blocks: int, heads: int, tokens: int = 1) -> None:
        super().__init__()
        self.views = views
        self.modalities = views.modalities
        columns = list(views.widths.values())
        frames = [views.frames.get(name) for name in views.names]
        self.modality = nn.ModuleList(
            ModalityEncoder(
                [columns[place] for place in places],
                width,
                blocks,
                heads,
                [frames[place] for place in places],
                tokens,
                {i: views.mixed[place] for i, place in enumerate(places) if place in views.mixed},
            )
            for places in views.by_modality.values()
        )
        self.invariant = InvariantEncoder(width)

    def hat(self, features: Sequence[Tensor | Frames], present: Tensor) -> Tensor:
        """F-hat [M, B, W] of [B, D_v], or frames, a view and present bool [B, V]: tokens of absent views are masked."""
        found = []
        for module, places in zip(self.modality, self.views.by_modality.values(), strict=True):
            own, encoder = [features[place] for place in places], cast(ModalityEncoder, module)
            found.append(encoder(own, encoder.token_mask(own, present[:, places])))
        return torch.stack(found)

    def forward(self, features: Sequence[Tensor | Frames], present: Tensor) -> Tensor:
        """[B, D_v], or frames, a view and present bool [B, V] -> H [M, B, W]."""
        return self.invariant(self.hat(features, present))


class Heads(nn.Module):
    """A classifier on H of each modality and, where there are several, one on their concatenation.

    Written on trailing axes: parameters stacked along a leading axis give every member's logits in one pass.
    """

    def __init__(self, modalities: Sequence[str], classes: int, width: int) -> None:
        super().__init__()
        every = list(range(len(modalities)))
        self.sees = [[place] for place in every] + [every] * (len(every) > 1)
        self.single = Classifier(len(modalities), width, width, classes)
        self.fused = Classifier(1, len(modalities) * width, width, classes) if len(modalities) > 1 else None

    def forward(self, h: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of every head.

        Args:
            h: [..., B, W] a modality, zero where absent.
            present: bool [..., B, M]; not needed, as absence shows in `h`.
            keep: [..., B, M, W], dropout's factors on H; None in evaluation.

        Returns:
            [..., B, heads, C]: each modality's, then the fused one's.
        """
        x = torch.stack(list(h), dim=-3)  # [..., M, B, W]
        if keep is not None:
            x = x * keep.transpose(-3, -2)
        logits = self.single(x)  # [..., M, B, C]
        if self.fused is not None:
            together = x.transpose(-3, -2).flatten(-2).unsqueeze(-3)  # [..., 1, B, M * W]
            logits = torch.cat([logits, self.fused(together)], dim=-3)
        return logits.transpose(-3, -2)


class LinearHeads(nn.Module):
    """A linear classifier on the features of each modality, of each view where it has several, and one on all of them;
    where an encoder's blocks are weighted, the weights are the member's own.

    Written on trailing axes, as `Heads`. Weights start at zero, as those of a regression.
    """

    def __init__(self, views: Views, classes: int) -> None:
        super().__init__()
        self.views, self.sees = views, list(views.linear_parts.values())
        columns = [width // views.mixed.get(place, 1) for place, width in enumerate(views.widths.values())]
        self.mix = nn.ModuleDict({str(place): BlockWeights(blocks) for place, blocks in views.mixed.items()})
        shapes = [sum(columns[place] for place in places) for places in self.sees]
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(width, classes)) for width in shapes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1, classes)) for _ in shapes)

    def forward(self, features: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """[..., B, D_v] a view, zero where absent -> [..., B, heads, C]; `present` and `keep` are not needed."""
        features, heads = self._mixed(features), []
        for places, weight, bias in zip(self.sees, self.weights, self.biases, strict=True):
            own = [features[place] for place in places]
            heads.append((own[0] if len(own) == 1 else torch.cat(own, dim=-1)) @ weight + bias)
        return torch.stack(heads, dim=-2)

    def _mixed(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """[..., B, D_v] a view with blocks weighted: members see the same clips differently then."""
        if not len(self.mix):
            return features
        found = [self.mix[str(i)](x) if str(i) in self.mix else x for i, x in enumerate(features)]
        shape = torch.broadcast_shapes(*(x.shape[:-1] for x in found))
        return [x.expand(*shape, x.shape[-1]) for x in found]


class Direct(nn.Module):
    """A linear way past the encoders, from features to logits, that starts at zero: the wide part of wide and deep
    learning (Cheng et al. 2016). With few labels its few weights learn what the encoders' many cannot."""

    def __init__(self, views: Views, classes: int) -> None:
        super().__init__()
        self.views = views
        self.heads = 2 if len(views.modalities) > 1 else 1  # a modality's own and the fused one
        layers = [nn.Linear(width, self.heads * classes, bias=False) for width in views.widths.values()]
        for layer in layers:
            nn.init.zeros_(layer.weight)
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_v] a view, zero where absent -> [B, heads, C] in the order of `Views.modality_parts`."""
        of_view = [layer(x) for layer, x in zip(self.layers, features, strict=True)]
        of_modality = [sum(of_view[place] for place in places) for places in self.views.by_modality.values()]
        logits = torch.stack(of_modality, dim=1)
        if self.heads == 1:
            return logits
        single, fused = logits.chunk(2, dim=-1)  # [B, M, C] each
        return torch.cat([single, fused.sum(dim=1, keepdim=True)], dim=1)


class MRCCL(nn.Module):
    """Encoders and heads in one, for training both."""

    def __init__(self, encoders: Encoders, heads: Heads, direct: Direct | None = None) -> None:
        super().__init__()
        self.views, self.sees = encoders.views, list(encoders.views.modality_parts.values())
        self.encoders = encoders
        self.heads = heads
        self.direct = direct

    def forward(self, features: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """As `Heads`, from standardised features: [B, D_v] a view, zero where absent, and present bool [B, V]."""
        there = presence(present, list(self.encoders.views.by_modality.values()))  # [B, M]
        h = self.encoders(features, present) * there.T[..., None]  # [M, B, W]
        logits = self.heads(list(h), there, keep)
        return logits if self.direct is None else logits + self.direct(features)


class Classifier(nn.Module):
    """Small MLPs side by side, one an input, that start at zero logits."""

    def __init__(self, inputs: int, features: int, width: int, classes: int) -> None:
        super().__init__()
        bound = features**-0.5  # as nn.Linear
        self.hidden = nn.Parameter(torch.empty(inputs, features, width).uniform_(-bound, bound))
        self.hidden_bias = nn.Parameter(torch.empty(inputs, 1, width).uniform_(-bound, bound))
        self.output = nn.Parameter(torch.zeros(inputs, width, classes))
        self.output_bias = nn.Parameter(torch.zeros(inputs, 1, classes))

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs, B, D] -> logits [..., inputs, B, C]."""
        hidden = torch.relu(x @ self.hidden + self.hidden_bias)
        return hidden @ self.output + self.output_bias
