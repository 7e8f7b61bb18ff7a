"""From features as extracted to what experts learn from: standardised in one of several ways, and encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mer.errors import MerError
from mer.learning.features import grouped
from mer.learning.frames import FrameFeatures, FrameInputs, FrameReader
from mer.learning.speakers import SpeakerGuess
from mer.learning.standardise import Standardiser
from mer.model.encoder import Frames
from mer.model.mrccl import Encoders
from mer.model.views import Views, presence

ROWS = 8192
"""Clips encoded at once."""
FRAME_ROWS = 256
"""The same of clips whose frames are read."""

Features = Mapping[str, NDArray[np.float32]]
Present = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Inputs:
    """`features` [N, D] a view, zero where absent; `present` bool [N, V]; both on the training device. What encoders
    make of them is the same, a modality in place of a view. `frames` are those of views whose frames are read, by
    place; they stay where they lie. `blocks` says how many blocks' vectors some views hold side by side, by place."""

    features: list[Tensor]
    present: Tensor
    frames: Mapping[int, FrameInputs] = field(default_factory=dict)
    blocks: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Tensor | NDArray[np.int64]) -> Inputs:
        """The rows, an index of any shape."""
        index = torch.as_tensor(rows, device=self.present.device)
        return Inputs(
            [x[index] for x in self.features], self.present[index], self._frames(index.cpu().numpy()), self.blocks
        )

    def vectors(self, place: int) -> Tensor:
        """[N, D] of one view, as experts take it that weight no blocks: the mean over these, where there are some."""
        x = self.features[place]
        return x.unflatten(-1, (self.blocks[place], -1)).mean(dim=-2) if place in self.blocks else x

    def tokens(self) -> list[Tensor | Frames]:
        """What encoders take of each view: its frames where they are read, else its vectors."""
        return [self.frames[i].read() if i in self.frames else x for i, x in enumerate(self.features)]

    def _frames(self, index: Any) -> dict[int, FrameInputs]:
        return {place: of.take(index) for place, of in self.frames.items()}

    def seen_through(self, places: Sequence[int]) -> Inputs:
        """The same clips as if they had only some of the views, given by their places."""
        hidden = set(range(len(self.features))) - set(places)
        if not hidden:
            return self
        features = [x.new_zeros(1).expand(x.shape) if i in hidden else x for i, x in enumerate(self.features)]
        present = self.present.clone()
        present[:, sorted(hidden)] = False
        return Inputs(features, present, self.frames, self.blocks)

    def __getitem__(self, part: slice) -> Inputs:
        return Inputs([x[part] for x in self.features], self.present[part], self._frames(part), self.blocks)


@dataclass(frozen=True)
class Standardisation:
    """One way to standardise the clips: `name` is `corpus`, `group` or, with a `guess` that tells groups apart,
    `guessed <modality> <number>`. `frames` say how those of some views are read, `blocks` how many blocks' vectors some
    hold side by side."""

    name: str
    standardisers: Mapping[str, Standardiser]
    guess: SpeakerGuess | None = None
    modality: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, FrameReader] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def views(self) -> Views:
        """The views with their columns after standardising."""
        widths = {name: fitted.width for name, fitted in self.standardisers.items()}
        frames = {name: reader.standardiser.width for name, reader in self.frames.items()}
        return Views(widths, {name: self.modality.get(name, name) for name in widths}, frames, self.blocks)

    def groups(
        self, features: Features, present: Present, names: NDArray[np.object_] | None
    ) -> NDArray[np.int64] | None:
        """Codes int64 [N] of the groups to standardise within, -1 where unknown; None over the whole corpus."""
        if self.guess is not None:
            return self.guess(features[self.guess.modality], present[self.guess.modality])
        return grouped(names) if self.name == "group" and names is not None else None

    def inputs(
        self,
        features: Features,
        present: Present,
        names: NDArray[np.object_] | None,
        device: torch.device,
        frames: Mapping[str, FrameFeatures] | None = None,
    ) -> Inputs:
        """Standardise N clips: float32 [N, D] and bool [N] a view; `names` are their groups, None where unknown.

        Raises:
            MerError: a view whose frames are read has none here.
        """
        codes = self.groups(features, present, names)
        exists = np.stack([present[name] for name in self.standardisers], axis=1)
        tensors = [
            torch.from_numpy(fit(features[name], present[name], codes)).to(device)
            for name, fit in self.standardisers.items()
        ]
        found = {}
        for name, reader in self.frames.items():
            own = None if frames is None else frames.get(name)
            width = len(reader.standardiser.mean)
            if own is None or own.width != width:
                had = "none" if own is None else f"frames of {own.width}"
                raise MerError(f"views.{name}: frames of {width} features are expected, found {had}")
            found[self.views.names.index(name)] = reader.inputs(own, present[name], codes, device)
        return Inputs(tensors, torch.from_numpy(exists).to(device), found, self.views.mixed)


@torch.no_grad()
def encode(encoders: Encoders, inputs: Inputs) -> Inputs:
    """H of every clip in place of its features, zero where a modality is absent. Each clip's H is scaled to unit
    variance, so that noise weighs as much on it as on features."""
    encoders = encoders.to(inputs.present.device)
    rows = FRAME_ROWS if inputs.frames else ROWS
    parts = (inputs[start : start + rows] for start in range(0, max(1, len(inputs)), rows))
    return masked(torch.cat([encoders(part.tokens(), part.present) for part in parts], dim=1), encoders, inputs)


def masked(h: Tensor, encoders: Encoders, inputs: Inputs) -> Inputs:
    """H [M, N, W] of the encoders as experts see it."""
    h = F.layer_norm(h, h.shape[-1:])
    there = presence(inputs.present, list(encoders.views.by_modality.values()))  # [N, M]
    return Inputs(list(h * there.T[..., None]), there)
