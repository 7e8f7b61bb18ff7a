"""A trained classifier and all that it needs to judge new clips, in one folder of two files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer.errors import MerError
from mer.params import ModelParams
from mer.training.classifier import heads_of, make_classifier
from mer.training.determinism import pick_device
from mer.training.features import grouped
from mer.training.frontend import ROWS, Frontend, Inputs
from mer.training.jury import Jury
from mer.training.members import Members
from mer.training.pretrain import make_encoders
from mer.training.standardise import standardiser_tensors, standardisers_from
from mer.training.tensors import read_tensors, write_tensors


@dataclass(frozen=True)
class Bundle:
    """Members that vote on new clips. `extra` is the caller's own: how the features were extracted, for one."""

    members: Members
    jury: Jury
    frontend: Frontend
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
            groups: names [N] (None where unknown), used with `model.normalise: group`; the statistics of a group are
                those of its clips in this call.

        Returns:
            float32 [N, C], in the order of `classes`.

        Raises:
            MerError: a modality is missing or has another width than in training.
        """
        for name, fitted in self.frontend.standardisers.items():
            width = features[name].shape[1] if name in features else None
            if width != len(fitted.mean):
                raise MerError(f"the bundle expects {len(fitted.mean)} {name} features a clip, found {width or 'none'}")
        codes = grouped(groups) if groups is not None and self.model.normalise == "group" else None
        return self.predict_inputs(self.frontend(features, present, codes, pick_device(self.model.device)))

    def predict_inputs(self, inputs: Inputs) -> NDArray[np.float32]:
        """Class probabilities [N, C] of clips that went through the frontend."""
        parts = []
        for start in range(0, len(inputs), ROWS):
            part = inputs[start : start + ROWS]
            parts.append(self.jury.verdict(self.members.logits(part), part.present).cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    def save(self, folder: str | Path) -> None:
        """Write the folder; the same bundle gives the same bytes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"members.{name}": value for name, value in self.members.stack.items()}
        tensors |= {"jury.temperature": torch.from_numpy(self.jury.temperature)}
        tensors |= {"jury.weights": torch.from_numpy(self.jury.weights)}
        tensors |= {"jury.vote_temperature": torch.tensor([self.jury.vote_temperature], dtype=torch.float64)}
        if self.jury.stacking is not None:
            tensors |= {"jury.stacking": torch.from_numpy(self.jury.stacking)}
        if self.frontend.encoders is not None:
            tensors |= {f"encoders.{name}": value for name, value in self.frontend.encoders.state_dict().items()}
        tensors |= standardiser_tensors(self.frontend.standardisers)
        write_tensors(folder / "members.safetensors", tensors, {})
        about = {
            "classes": list(self.classes),
            "widths": self.frontend.widths,
            "heads": list(heads_of(self.model)),
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
        standardisers = standardisers_from(tensors, tuple(about["widths"]))
        encoders = make_encoders(about["widths"], model)
        own = {k.removeprefix("encoders."): v for k, v in tensors.items() if k.startswith("encoders.")}
        if own:
            encoders.load_state_dict(own)
        direct = any(name.startswith("members.direct.") for name in tensors)
        start = None if own else encoders
        architecture = make_classifier(model, about["widths"], len(about["classes"]), start, direct=direct)
        stack = {name: tensors[f"members.{name}"] for name in architecture.state_dict()}
        stacking = tensors["jury.stacking"].numpy() if "jury.stacking" in tensors else None
        vote_temperature = tensors["jury.vote_temperature"].item()
        jury = Jury(tensors["jury.temperature"].numpy(), tensors["jury.weights"].numpy(), stacking, vote_temperature)
        frontend = Frontend(standardisers, encoders.requires_grad_(False) if own else None)
        classes, extra = tuple(about["classes"]), about["extra"]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise MerError(f"{folder}: not a bundle: {error}") from None
    return Bundle(Members(architecture, stack), jury, frontend, classes, model, extra)
