"""A trained ensemble and all that it needs to predict new clips, in one folder of two files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.errors import MerError
from mer.learning.determinism import pick_device
from mer.learning.frames import FrameFeatures
from mer.learning.inputs import ROWS, Inputs, Standardisation, encode
from mer.learning.tensors import write_tensors
from mer.model.mrccl import Encoders
from mer.model.views import Parts
from mer.params import ModelParams, Params
from mer.pretraining.pretrain import standardisation_tensors
from mer.self_training.classifier import heads_of
from mer.self_training.ensemble import mean_logits
from mer.self_training.estimator import Estimator, Numbers
from mer.self_training.floor import columns, floor_parts
from mer.self_training.gaussian import gaussian_parts
from mer.self_training.linear import Linear
from mer.self_training.members import Members
from mer.self_training.voting import STUDENTS, Vote, expert_presence


@dataclass(frozen=True)
class Votes:
    """What a bundle says of N clips: `probabilities` float32 [N, C] are the vote's, `own` float32 [E, N, C] each
    expert's, calibrated; `seeing` bool [E, N] whether it sees anything of the clip; `weights` float32 [E]."""

    experts: tuple[str, ...]
    weights: NDArray[np.float32]
    own: NDArray[np.float32]
    seeing: NDArray[np.bool_]
    probabilities: NDArray[np.float32]

    def by_part(self, parts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The weighted mean [N, C] of the experts that see one part alone, a modality or a view; zeros where that is
        absent. Where their weights are all zero, each counts the same."""
        found = {}
        for name in parts:
            rows = [e for e, expert in enumerate(self.experts) if expert.rpartition(" ")[2] == name]
            if not rows:
                continue
            weight = self.weights[rows] if self.weights[rows].sum() > 0 else np.ones(len(rows), np.float32)
            weight = (weight / weight.sum())[:, None, None] * self.seeing[rows][..., None]
            found[name] = np.asarray((weight * self.own[rows]).sum(axis=0), np.float32)
        return found


@dataclass(frozen=True)
class Bundle:
    """Experts that vote on new clips.

    `standardisation` is how clips are standardised; `looks_at` names the views that the experts look at. `linear` are
    the floor's experts: see `mer.self_training.floor.floor_parts`; `gaussians`, by rank, those that are fitted to
    unlabeled clips as well, if any vote: see `mer.self_training.gaussian`. `members` are those of each family and
    round, one or more seeds; `frozen` the encoders of families that have none of their own. `extra` is the caller's
    own: how the features were extracted, for one. `numbers` predicts targets, where it was trained on any; a bundle of
    targets alone has no classes.
    """

    standardisation: Standardisation
    looks_at: tuple[str, ...]
    linear: tuple[Linear, ...]
    members: tuple[tuple[str, Members], ...]
    frozen: Mapping[str, Encoders]
    vote: Vote
    classes: tuple[str, ...]
    params: Params
    extra: dict[str, Any] = field(default_factory=dict)
    numbers: Estimator | None = None
    gaussians: Mapping[int, Linear] = field(default_factory=dict)

    @property
    def model(self) -> ModelParams:
        """Parameters of the model."""
        return self.params.model

    def predict(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.object_] | None = None,
        frames: Mapping[str, FrameFeatures] | None = None,
    ) -> NDArray[np.float32]:
        """Class probabilities of N clips.

        Args:
            features: float32 [N, D] of every view that the model knows; others are not looked at.
            present: bool [N] a view.
            groups: names [N] (None where unknown), used where clips are standardised within groups; the statistics of a
                group are those of its clips in this call.
            frames: of the N clips in each view whose frames the encoders read (`view.frames`).

        Returns:
            float32 [N, C], in the order of `classes`.

        Raises:
            MerError: a view, or its frames, are missing or have another width than in training.
        """
        return self.votes(features, present, groups, frames).probabilities

    def votes(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.object_] | None = None,
        frames: Mapping[str, FrameFeatures] | None = None,
    ) -> Votes:
        """As `predict`, with what every expert says."""
        self._check(features)
        inputs = self.standardisation.inputs(features, present, groups, pick_device(self.model.device), frames)
        inputs = inputs.seen_through(self.standardisation.views.places(self.looks_at))
        parts = [self._votes(inputs[start : start + ROWS]) for start in range(0, max(1, len(inputs)), ROWS)]
        return Votes(
            self.experts,
            self.vote.weights.numpy(),
            np.concatenate([own for own, _, _ in parts], axis=1),
            np.concatenate([seeing for _, seeing, _ in parts], axis=1),
            np.concatenate([fused for _, _, fused in parts]),
        )

    def choose(self, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
        """The class of each clip, int64 [N], from its probabilities [N, C]: the most probable one, but for what
        `self_train.posthoc_adjustment` asks for."""
        return np.asarray(self.vote.choose(torch.tensor(probabilities)).numpy(), np.int64)

    def estimate(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.object_] | None = None,
        frames: Mapping[str, FrameFeatures] | None = None,
    ) -> Numbers:
        """The targets of N clips with their intervals, of what `predict` takes; of width 0 without targets."""
        self._check(features)
        if self.numbers is None:
            none = np.zeros((len(next(iter(features.values()))), 0))
            return Numbers(none, none, none)
        return self.numbers.predict(features, present, groups, pick_device(self.model.device), frames)

    def _check(self, features: Mapping[str, NDArray[np.float32]]) -> None:
        for name, fitted in self.standardisation.standardisers.items():
            width = features[name].shape[1] if name in features else None
            if width != len(fitted.mean):
                raise MerError(f"the bundle expects {len(fitted.mean)} {name} features a clip, found {width or 'none'}")

    @property
    def experts(self) -> tuple[str, ...]:
        """`<family> <part>` of each expert, in the order of the vote's weights; a part is a modality, one of several
        views of it (`<modality>/<view>`), or `fused`."""
        views = self.standardisation.views
        names = list(self.linear_parts())
        seen: set[str] = set()
        for family, _ in self.members:  # of a family that comes again, the later members are a round's students
            names += [f"{family}{STUDENTS * (family in seen)} {part}" for part in heads_of(family, views)]
            seen.add(family)
        return tuple(names)

    def linear_parts(self) -> Parts:
        """`<family> <part>` of the linear experts, which come first, and the places of the views that each sees."""
        views = self.standardisation.views
        floor = floor_parts(views) if self.linear else {}
        return {**floor, **gaussian_parts(tuple(self.gaussians), views)}

    def linear_logits(self, inputs: Inputs) -> list[Tensor]:
        """What each of these says of n clips, [1, n, C]."""
        experts = zip([*self.linear, *self.gaussians.values()], self.linear_parts().values(), strict=True)
        return [expert.logits(columns(inputs, part)) for expert, part in experts]

    def _votes(self, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
        """Of some clips: what each expert says, [E, n, C]; which sees something, [E, n]; and the vote, [n, C]."""
        if not self.classes:
            nothing = len(inputs), 0
            return np.zeros((0, *nothing), np.float32), np.zeros((0, len(inputs)), bool), np.zeros(nothing, np.float32)
        views = self.standardisation.views
        parts = list(self.linear_parts().values())
        logits = [one.cpu() for one in self.linear_logits(inputs)]
        for family, members in self.members:
            found = members.logits(encode(self.frozen[family], inputs) if family in self.frozen else inputs)
            logits.append(mean_logits(found).cpu())
            parts += heads_of(family, views).values()
        stacked, present = torch.cat(logits), expert_presence(inputs.present.cpu(), parts)
        return self.vote.calibrated(stacked).numpy(), present.numpy(), self.vote(stacked, present).numpy()

    def save(self, folder: str | Path) -> None:
        """Write the folder; the same bundle gives the same bytes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors, [own_standardisation, *others] = standardisation_tensors(
            (self.standardisation,) if self.numbers is None else (self.standardisation, self.numbers.standardisation)
        )
        tensors |= {f"vote.{name}": value for name, value in self.vote.tensors().items()}
        for e, expert in enumerate(self.linear):
            tensors |= {f"linear.{e}.weight": expert.weight, f"linear.{e}.bias": expert.bias}
        for rank, expert in self.gaussians.items():
            tensors |= {f"gaussian.{rank}.weight": expert.weight, f"gaussian.{rank}.bias": expert.bias}
        for i, (_, members) in enumerate(self.members):
            tensors |= {f"members.{i}.{name}": value for name, value in members.stack.items()}
        for family, encoders in self.frozen.items():
            tensors |= {f"frozen.{family}.{name}": value for name, value in encoders.state_dict().items()}
        if self.numbers is not None:
            tensors |= {f"numbers.{name}": value for name, value in self.numbers.tensors().items()}
        write_tensors(folder / "members.safetensors", tensors, {})
        about = {
            "classes": list(self.classes),
            "view": own_standardisation,
            "looks_at": list(self.looks_at),
            "linear": len(self.linear),
            "members": [family for family, _ in self.members],
            "params": self.params.model_dump(mode="json", include={"model", "self_train"}),
            "extra": self.extra,
        }
        if self.gaussians:
            about["gaussians"] = list(self.gaussians)
        if self.numbers is not None:
            about["numbers"] = {**self.numbers.about(), "view": others[0]}
        text = json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "bundle.json").write_text(text + "\n", encoding="utf-8")
