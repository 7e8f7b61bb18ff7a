"""Baselines on utterance vectors, with the classifiers' common signature.

Every forward takes features ([B, D_m] a modality, standardised, zero where absent), present (bool [B, M]) and keep
([B, M, W], dropout's factors on the modality encodings, or None) and gives logits [B, 1, C]: one head, no voting.
`SideBySide` makes one vector a modality of several views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mer.model.encoder import masked
from mer.model.views import Views, presence


class Logistic(nn.Module):
    """Multinomial logistic regression on the concatenation; dropout does not apply."""

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.output = nn.Linear(sum(widths.values()), classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module."""
        return self.output(torch.cat(features, dim=-1))[:, None]


class SideBySide(nn.Module):
    """A baseline that knows modalities only, on views: those of a modality are concatenated."""

    def __init__(self, views: Views, make: Callable[[Mapping[str, int]], nn.Module]) -> None:
        super().__init__()
        self.views, self.sees = views, [views.all]
        columns = list(views.widths.values())
        parts = views.by_modality
        self.model = make({name: sum(columns[place] for place in places) for name, places in parts.items()})

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module, with [B, D_v] a view and present bool [B, V]."""
        parts = list(self.views.by_modality.values())
        joined = [torch.cat([features[place] for place in places], dim=-1) for places in parts]
        return self.model(joined, presence(present, parts), keep)


class ModalityMLPs(nn.Module):
    """A two-layer encoder a modality: what all neural baselines start with."""

    def __init__(self, widths: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.encode = nn.ModuleList(
            nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
            for features in widths.values()
        )

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None) -> Tensor:
        """[B, M, W], zero where absent."""
        encoded = [
            masked(encode(x), present[:, m]) for m, (encode, x) in enumerate(zip(self.encode, features, strict=True))
        ]
        hidden = torch.stack(encoded, dim=1)
        return hidden if keep is None else hidden * keep


class Attention(nn.Module):
    """The MERTools baseline (Lian et al. 2023): modality encodings summed with weights that all of them decide."""

    def __init__(self, widths: Mapping[str, int], classes: int, width: int) -> None:
        super().__init__()
        self.modality = ModalityMLPs(widths, width)
        self.hidden = nn.Linear(len(widths) * width, width)
        self.attention = nn.Linear(width, len(widths))
        self.output = nn.Linear(width, classes)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module."""
        h = self.modality(features, present, keep)  # [B, M, W]
        weight = self.attention(F.relu(self.hidden(h.flatten(1))))  # [B, M]
        return self.output((h * weight[..., None]).sum(dim=1))[:, None]


class TensorFusion(nn.Module):
    """TFN (Zadeh et al. 2017): the outer product of [1; z] over the modalities, each z narrowed first."""

    def __init__(self, widths: Mapping[str, int], classes: int, width: int, narrow: int = 8) -> None:
        super().__init__()
        self.modality = ModalityMLPs(widths, width)
        self.narrow = nn.ModuleList(nn.Linear(width, narrow) for _ in widths)
        self.hidden = nn.Linear((narrow + 1) ** len(widths), width)
        self.output = nn.Linear(width, classes)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module."""
        h = self.modality(features, present, keep)
        fused = torch.ones_like(h[:, 0, :1])  # [B, 1]
        for m, narrow in enumerate(self.narrow):
            z = _with_one(narrow(h[:, m]))  # [B, narrow + 1]
            fused = (fused[:, :, None] * z[:, None, :]).flatten(1)
        return self.output(F.relu(self.hidden(fused)))[:, None]


class LowRankFusion(nn.Module):
    """LMF (Liu et al. 2018, eq. 6): the outer product's weights as a sum of `rank` products over the modalities."""

    def __init__(self, widths: Mapping[str, int], classes: int, width: int, rank: int = 4) -> None:
        super().__init__()
        self.rank = rank
        self.modality = ModalityMLPs(widths, width)
        self.factors = nn.ModuleList(nn.Linear(width + 1, rank * width, bias=False) for _ in widths)
        self.output = nn.Linear(width, classes)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module."""
        h = self.modality(features, present, keep)
        product = torch.ones_like(h[:, 0, :1])
        for m, factor in enumerate(self.factors):
            product = product * factor(_with_one(h[:, m]))  # [B, rank * W]
        return self.output(product.unflatten(1, (self.rank, -1)).sum(dim=1))[:, None]


class CrossModal(nn.Module):
    """MulT (Tsai et al. 2019) on utterance vectors: each modality is one token and attends to the other modalities.

    MulT attends over the other modality's frames; with one vector a modality there is one key each, so that the
    attention chooses between modalities instead.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, width: int) -> None:
        super().__init__()
        self.modality = ModalityMLPs(widths, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.output = nn.Linear(len(widths) * width, classes)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """See the module."""
        h = self.modality(features, present, keep)  # [B, M, W]
        itself = torch.eye(h.shape[1], dtype=torch.bool, device=h.device)
        hidden = itself | ~present[:, None, :]  # [B, M, M]
        score = self.query(h) @ self.key(h).transpose(1, 2) / h.shape[-1] ** 0.5
        share = score.masked_fill(hidden, -1e9).softmax(dim=-1).masked_fill(hidden, 0)
        h = h + share @ self.value(h)
        h = h + self.mlp(self.norm(h))
        return self.output(h.flatten(1))[:, None]


def _with_one(z: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(z[:, :1]), z], dim=-1)
