"""Reading a bundle that `Bundle.save` wrote; what is not whole is refused here, not when clips come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mer.compute.threads import OneThread
from mer.errors import MerError
from mer.learning.frames import FrameList
from mer.learning.inputs import Standardisation
from mer.learning.tensors import read_tensors
from mer.model.mrccl import Encoders
from mer.params import Params, parse_params
from mer.pretraining.pretrain import encoders_from, make_encoders, standardisations_from
from mer.running.foreign import check_keys, foreign, read_json
from mer.self_training.bundle import Bundle
from mer.self_training.classifier import make_classifier
from mer.self_training.estimator import Estimator, Scale
from mer.self_training.linear import Linear
from mer.self_training.members import Members
from mer.self_training.ridge import Ridge
from mer.self_training.stacking import Stack
from mer.self_training.voting import Vote

KINDS: dict[str, type] = {
    "classes": list,
    "view": dict,
    "looks_at": list,
    "linear": int,
    "members": list,
    "params": dict,
    "extra": dict,
}
"""What bundle.json holds."""


def load_bundle(folder: str | Path) -> Bundle:
    """Read what `Bundle.save` wrote, and try it on a clip: whatever it holds, it predicts or is refused here.

    Raises:
        MerError: a file is missing or is not a bundle's.
    """
    folder = Path(folder)
    threads = OneThread()
    threads.take()  # for sums this small, threads that wait for each other on a busy machine take longer than the work
    try:
        return _load(folder)
    finally:
        threads.give_back()


def _load(folder: Path) -> Bundle:
    about = read_json(folder / "bundle.json")
    tensors, _ = read_tensors(folder / "members.safetensors")
    with foreign(f"{folder}: not a bundle of this version of mer"):
        check_keys(about, KINDS, f"{folder}/bundle.json: not of this version of mer")
        bundle = _assembled(about, tensors, f"{folder}/bundle.json")
        _try(bundle)
    return bundle


def _assembled(about: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str) -> Bundle:
    params = parse_params(about["params"], source=source)
    classes, numbers = tuple(about["classes"]), about.get("numbers")
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise MerError(f"{source}: 'classes' are not different names")
    if len(classes) < (2 if numbers is None else 0) or len(classes) == 1:
        raise MerError(f"{source}: 'classes' are not two or more different names")
    if not 0 <= about["linear"] <= len(tensors):
        raise MerError(f"{source}: 'linear' is no number of experts")
    way, *others = standardisations_from(tensors, [about["view"], *([] if numbers is None else [numbers["view"]])])
    frozen = {
        family: encoders
        for family in [*about["members"], *([] if numbers is None else numbers["members"])]
        if (encoders := encoders_from(tensors, f"frozen.{family}.", way.views, params.model)) is not None
    }
    members = [
        (
            family,
            _members(_part(tensors, f"members.{i}."), family, way, params, len(classes), family in frozen),
        )
        for i, family in enumerate(about["members"])
    ]
    return Bundle(
        standardisation=way,
        looks_at=_looked_at(about["looks_at"], way, source),
        linear=tuple(Linear(**_part(tensors, f"linear.{e}.")) for e in range(about["linear"])),
        members=tuple(members),
        frozen=frozen,
        vote=Vote(**_part(tensors, "vote.")),
        classes=classes,
        params=params,
        extra=about["extra"],
        gaussians={rank: Linear(**_part(tensors, f"gaussian.{rank}.")) for rank in _ranks(about, source)},
        numbers=None if numbers is None else _estimator(numbers, tensors, others[0], params, frozen, source),
    )


def _estimator(
    about: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    way: Standardisation,
    params: Params,
    frozen: Mapping[str, Encoders],
    source: str,
) -> Estimator:
    targets = tuple(about["targets"])
    if not targets or len(set(targets)) < len(targets) or not all(isinstance(name, str) for name in targets):
        raise MerError(f"{source}: 'targets' are not different names")
    if not 0 <= about["ridge"] <= len(tensors):
        raise MerError(f"{source}: 'ridge' is no number of experts")
    own = _part(tensors, "numbers.")
    return Estimator(
        targets=targets,
        standardisation=way,
        ridge=tuple(Ridge(**_part(own, f"ridge.{e}.")) for e in range(about["ridge"])),
        members=tuple(
            (
                family,
                _members(_part(own, f"members.{i}."), family, way, params, len(targets), family in frozen),
            )
            for i, family in enumerate(about["members"])
        ),
        frozen={family: encoders for family, encoders in frozen.items() if family in about["members"]},
        stack=Stack(**_part(own, "stack.")),
        scale=Scale(own["scale.mean"].numpy(), own["scale.deviation"].numpy()),
        looks_at=_looked_at(about["looks_at"], way, source),
    )


def _ranks(about: Mapping[str, Any], source: str) -> list[int]:
    ranks = about.get("gaussians", [])
    if not isinstance(ranks, list) or not all(type(rank) is int and rank > 0 for rank in ranks):
        raise MerError(f"{source}: 'gaussians' are no ranks")
    if sorted(set(ranks)) != ranks:
        raise MerError(f"{source}: 'gaussians' do not rise")
    return ranks


def _looked_at(names: Sequence[Any], way: Standardisation, source: str) -> tuple[str, ...]:
    if not names or not all(name in way.standardisers for name in names):
        raise MerError(f"{source}: 'looks_at' does not name views of the bundle")
    return tuple(names)


def _try(bundle: Bundle) -> None:
    """Predict a clip whose features are all zero: parts that do not fit each other raise here, or give no numbers."""
    standardisers = bundle.standardisation.standardisers
    if set(bundle.standardisation.views.modalities) != set(bundle.model.modalities):
        raise ValueError("its modalities are not those of its params")
    features = {name: np.zeros((1, len(fitted.mean)), np.float32) for name, fitted in standardisers.items()}
    model = bundle.model.model_copy(update={"device": "cpu"})  # a bundle may be told of where there is no GPU
    bundle = replace(bundle, params=bundle.params.model_copy(update={"model": model}))
    frames = {name: FrameList([None], len(of.standardiser.mean)) for name, of in bundle.standardisation.frames.items()}
    one = (features, {name: np.ones(1, bool) for name in features}, np.array([None], object), frames)
    for expert in (*bundle.linear, *bundle.gaussians.values()):
        if len(expert.weight) != 1 or expert.bias.shape != (1, len(bundle.classes)):
            raise ValueError("a linear expert has another number of classes")
    found = bundle.predict(*one)
    if found.shape != (1, len(bundle.classes)) or not np.isfinite(found).all():
        raise ValueError("it predicts no probabilities of its classes")
    if bundle.numbers is not None:
        own = bundle.numbers.standardisation
        if set(own.standardisers) != set(standardisers) or set(own.frames) != set(frames):
            raise ValueError("its targets are predicted from other modalities")
        numbers = bundle.estimate(*one)
        if numbers.values.shape != (1, len(bundle.numbers.targets)) or not np.isfinite(numbers.values).all():
            raise ValueError("it predicts no numbers of its targets")
        if np.isnan(numbers.low).any() or (numbers.low > numbers.high).any():
            raise ValueError("it predicts no intervals of its targets")


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _members(
    stack: dict[str, Tensor], family: str, way: Standardisation, params: Params, classes: int, frozen: bool
) -> Members:
    encoders = make_encoders(way.views, params.model) if family.startswith("mrccl") and not frozen else None
    architecture = make_classifier(family, params, way.views, classes, encoders).requires_grad_(False)
    stack = {name: stack[name] for name in architecture.state_dict()}
    return Members(architecture, stack, np.zeros((len(next(iter(stack.values()))), 0)))
