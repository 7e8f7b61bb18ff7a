"""Which views there are, and what an expert sees of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

Parts = dict[str, list[int]]
"""Name of a part -> the places of its views."""


@dataclass(frozen=True)
class Views:
    """V views in order, those of a modality side by side: `widths` are their columns, `modality` says whose they are,
    `frames` are the columns of a frame of the views whose frames encoders read in place of the vector; `blocks` says of
    how many blocks' vectors, side by side, a view's columns are, where these are to be weighted.

    >>> views = Views({"hubert": 8, "whisper": 4, "text": 6}, {"hubert": "audio", "whisper": "audio", "text": "text"})
    >>> views.by_modality
    {'audio': [0, 1], 'text': [2]}
    >>> list(views.linear_parts)
    ['audio/hubert', 'audio/whisper', 'audio', 'text', 'fused']
    """

    widths: Mapping[str, int]
    modality: Mapping[str, str]
    frames: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.widths)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the views, in order."""
        return tuple(self.widths)

    @cached_property
    def by_modality(self) -> Parts:
        """The places of each modality's views."""
        found: Parts = {}
        for place, name in enumerate(self.widths):
            found.setdefault(self.modality[name], []).append(place)
        return found

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.by_modality)

    @cached_property
    def mixed(self) -> dict[int, int]:
        """The places of views whose blocks are weighted, and how many blocks they have."""
        return {place: self.blocks[name] for place, name in enumerate(self.widths) if name in self.blocks}

    def places(self, names: Collection[str]) -> list[int]:
        """Those of some views, in the order of all."""
        return [place for place, name in enumerate(self.widths) if name in names]

    @property
    def all(self) -> list[int]:
        """The places of all views."""
        return list(range(len(self.widths)))

    @cached_property
    def single(self) -> Parts:
        """Each view of a modality that has several, by itself: `<modality>/<view>`."""
        several = {name: places for name, places in self.by_modality.items() if len(places) > 1}
        return {f"{name}/{self.names[place]}": [place] for name, places in several.items() for place in places}

    @cached_property
    def modality_parts(self) -> Parts:
        """What an expert on modalities sees: each alone, then all together where there are several."""
        return {**self.by_modality, "fused": self.all} if len(self.by_modality) > 1 else dict(self.by_modality)

    @cached_property
    def linear_parts(self) -> Parts:
        """The same for linear experts, which also look at each of several views of a modality. The last sees all."""
        return {**self.single, **self.modality_parts}


def presence(present: Tensor, parts: Sequence[Sequence[int]]) -> Tensor:
    """Which parts have something to go by: bool [..., V] of views -> bool [..., parts]; one of its views will do."""
    return torch.stack([present[..., list(places)].any(dim=-1) for places in parts], dim=-1)


def hide_views(present: Tensor, views: Views, kept: Tensor) -> Tensor:
    """View dropout: `present` bool [..., V] without the views that are not `kept` (bool [..., V]); where none of a
    modality's would be left, all that the clip has stay."""
    found = []
    for places in views.by_modality.values():
        own = present[..., places] & kept[..., places]
        found.append(torch.where(own.any(dim=-1, keepdim=True), own, present[..., places]))
    return torch.cat(found, dim=-1)
