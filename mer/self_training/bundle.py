"""A trained ensemble and all that it needs to predict new clips, in one folder of two files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.errors import MerError
from mer.learning.determinism import pick_device
from mer.learning.inputs import ROWS, Inputs, View, encode
from mer.learning.tensors import read_tensors, write_tensors
from mer.model.mrccl import Encoders
from mer.params import ModelParams
from mer.pretraining.pretrain import make_encoders, view_tensors, views_from
from mer.self_training.classifier import make_classifier
from mer.self_training.ensemble import mean_logits
from mer.self_training.floor import LINEAR, blocks, columns
from mer.self_training.linear import Linear
from mer.self_training.members import Members
from mer.self_training.voting import Vote, expert_presence


@dataclass(frozen=True)
class Bundle:
    """Experts that vote on new clips.

    `view` is how clips are standardised. `linear` are the linear experts, all modalities and each alone for every one
    of `families` (`linear` sees the features, `probe` what the encoders give). `members` are one or more seeds for each
    of `starts`; where they are on frozen encoders, `frozen` has one for each start. `extra` is the caller's own: how
    the features were extracted, for one.
    """

    view: View
    linear: tuple[Linear, ...]
    families: tuple[str, ...]
    members: Members | None
    starts: tuple[str, ...]
    frozen: tuple[Encoders, ...]
    vote: Vote
    classes: tuple[str, ...]
    model: ModelParams
    extra: dict[str, Any] = field(default_factory=dict)

    def predict(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.object_] | None = None,
    ) -> NDArray[np.float32]:
        """Class probabilities of N clips.

        Args:
            features: float32 [N, D] of every modality that the model knows; others are not looked at.
            present: bool [N] a modality.
            groups: names [N] (None where unknown), used where the view standardises within groups; the statistics of a
                group are those of its clips in this call.

        Returns:
            float32 [N, C], in the order of `classes`.

        Raises:
            MerError: a modality is missing or has another width than in training.
        """
        for name, fitted in self.view.standardisers.items():
            width = features[name].shape[1] if name in features else None
            if width != len(fitted.mean):
                raise MerError(f"the bundle expects {len(fitted.mean)} {name} features a clip, found {width or 'none'}")
        inputs = self.view.inputs(features, present, groups, pick_device(self.model.device))
        starts = range(0, len(inputs), ROWS)
        parts = [self._predict(inputs[start : start + ROWS]).numpy() for start in starts]
        return np.concatenate([np.zeros((0, len(self.classes)), np.float32), *parts])

    def _predict(self, inputs: Inputs) -> Tensor:
        logits: list[Tensor] = []
        for e, expert in enumerate(self.linear):
            parts = blocks(len(inputs.features))
            family, part = self.families[e // len(parts)], parts[e % len(parts)]
            seen = inputs if family == LINEAR or self.view.encoders is None else encode(self.view.encoders, inputs)
            logits.append(expert.logits(columns(seen, part)).cpu())
        heads = 0
        if self.members is not None:
            seeds = len(self.members) // len(self.starts)
            for s in range(len(self.starts)):
                seen = encode(self.frozen[s], inputs) if self.frozen else inputs
                found = self.members.select(range(s * seeds, (s + 1) * seeds)).logits(seen)
                heads = found.shape[2]
                logits.append(mean_logits(found).cpu())
        families = len(self.families) if self.linear else 0
        present = expert_presence(inputs.present.cpu(), families, len(self.starts), heads)
        return self.vote(torch.cat(logits), present)

    def save(self, folder: str | Path) -> None:
        """Write the folder; the same bundle gives the same bytes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors, [about_view] = view_tensors((self.view,))
        tensors |= {f"vote.{name}": value for name, value in self.vote.tensors().items()}
        for e, expert in enumerate(self.linear):
            tensors |= {f"linear.{e}.weight": expert.weight, f"linear.{e}.bias": expert.bias}
        if self.members is not None:
            tensors |= {f"members.{name}": value for name, value in self.members.stack.items()}
        for s, encoders in enumerate(self.frozen):
            tensors |= {f"frozen.{s}.{name}": value for name, value in encoders.state_dict().items()}
        write_tensors(folder / "members.safetensors", tensors, {})
        about = {
            "classes": list(self.classes),
            "view": about_view,
            "linear": len(self.linear),
            "families": list(self.families),
            "starts": list(self.starts),
            "frozen": len(self.frozen),
            "model": self.model.model_dump(mode="json"),
            "extra": self.extra,
        }
        text = json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "bundle.json").write_text(text + "\n", encoding="utf-8")


def load_bundle(folder: str | Path) -> Bundle:
    """Read what `Bundle.save` wrote.

    Raises:
        MerError: a file is missing or is not a bundle's.
    """
    folder = Path(folder)
    tensors, _ = read_tensors(folder / "members.safetensors")
    try:
        about = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        model = ModelParams.model_validate(about["model"])
        [view] = views_from(tensors, [about["view"]], model)
        linear = [Linear(**_part(tensors, f"linear.{e}.")) for e in range(about["linear"])]
        frozen = []
        for s in range(about["frozen"]):
            frozen.append(make_encoders(view.widths, model).requires_grad_(False))
            frozen[-1].load_state_dict(_part(tensors, f"frozen.{s}."))
        return Bundle(
            view=view,
            linear=tuple(linear),
            families=tuple(about["families"]),
            members=_members(_part(tensors, "members."), view, model, len(about["classes"]), bool(frozen)),
            starts=tuple(about["starts"]),
            frozen=tuple(frozen),
            vote=Vote(**_part(tensors, "vote.")),
            classes=tuple(about["classes"]),
            model=model,
            extra=about["extra"],
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise MerError(f"{folder}: not a bundle: {error}") from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _members(stack: dict[str, Tensor], view: View, model: ModelParams, classes: int, frozen: bool) -> Members | None:
    if not stack:
        return None
    encoders = None if frozen or model.kind != "mrccl" else make_encoders(view.widths, model)
    direct = any(name.startswith("direct.") for name in stack)
    architecture = make_classifier(model, view.widths, classes, encoders, direct=direct).requires_grad_(False)
    stack = {name: stack[name] for name in architecture.state_dict()}
    return Members(architecture, stack, np.zeros((len(next(iter(stack.values()))), 0)))
