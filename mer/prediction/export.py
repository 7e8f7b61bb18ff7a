"""A bundle's classifier as one ONNX file: from features as extracted to the vote, for who serves elsewhere."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mer.errors import MerError
from mer.learning.inputs import Inputs, masked
from mer.learning.standardise import PRIOR_CLIPS, Standardiser
from mer.self_training.bundle import Bundle
from mer.self_training.classifier import heads_of
from mer.self_training.ensemble import mean_logits
from mer.self_training.voting import expert_presence

CLIPS = 3
"""Clips of the example that is traced; the file takes any number."""


class Classifier(nn.Module):
    """Takes float32 [N, D] of each view, bool [N, V] of which are present and, in a bundle that standardises within
    groups, int64 [N] of group codes; gives float32 [N, C] of probabilities.

    Unlike `Bundle.predict`, a clip whose group is unknown has a code of its own, or shares one: there is no -1.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.bundle = bundle
        self.names = tuple(bundle.standardisation.standardisers)
        self.by_group = bundle.standardisation.name == "group"

    def forward(self, features: list[Tensor], present: Tensor, groups: Tensor | None = None) -> Tensor:
        way = self.bundle.standardisation
        codes = None
        if way.guess is not None:
            place = self.names.index(way.guess.modality)
            fitted = way.guess.standardiser
            z = _standardised(fitted, features[place], present[:, place], None)
            z = z / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp(min=1e-6)
            centroids = torch.from_numpy(way.guess.centroids)
            distance = (centroids**2).sum(dim=1) - 2 * z @ centroids.T
            codes = torch.where(present[:, place], distance.argmin(dim=1), len(centroids))
        elif self.by_group:
            codes = groups
        standardised = [
            _standardised(fitted, x, present[:, i], codes)
            for i, (x, fitted) in enumerate(zip(features, way.standardisers.values(), strict=True))
        ]
        inputs = Inputs(standardised, present, {}, way.views.mixed)
        return self._vote(inputs.seen_through(way.views.places(self.bundle.looks_at)))

    def _vote(self, inputs: Inputs) -> Tensor:
        bundle, views = self.bundle, self.bundle.standardisation.views
        parts, logits = list(bundle.linear_parts().values()), bundle.linear_logits(inputs)
        for family, members in bundle.members:
            frozen = bundle.frozen.get(family)
            # no truth of `Inputs` is asked for: its length would be traced as a constant
            seen = inputs if frozen is None else masked(frozen(inputs.features, inputs.present), frozen, inputs)
            logits.append(mean_logits(members.forward(seen)))
            parts += heads_of(family, views).values()
        return bundle.vote(torch.cat(logits), expert_presence(inputs.present, parts))


def _standardised(fitted: Standardiser, x: Tensor, present: Tensor, codes: Tensor | None) -> Tensor:
    """As `Standardiser.__call__`, in torch."""
    z = torch.nan_to_num((x - torch.from_numpy(fitted.mean)) * torch.from_numpy(fitted.scale))
    if codes is not None and fitted.group_mean is not None and fitted.group_scale is not None:
        z = (z - torch.from_numpy(fitted.group_mean)[codes]) * torch.from_numpy(fitted.group_scale)[codes]
    elif codes is not None:
        z = _within_groups(fitted, z, present, codes)
    if fitted.basis is not None:
        basis = torch.from_numpy(fitted.basis)
        z = z @ basis if z.shape[1] == len(basis) else (z.unflatten(1, (-1, len(basis))) @ basis).flatten(1)
    return torch.where(present[:, None], z * torch.from_numpy(fitted.gain), 0.0)


def _within_groups(fitted: Standardiser, z: Tensor, present: Tensor, codes: Tensor) -> Tensor:
    same = ((codes[:, None] == codes[None, :]) & present[None, :]).to(z.dtype)  # [N, N]
    number = same.sum(dim=1, keepdim=True)
    total, square = same @ z, same @ (z * z)
    mean = total / (number + PRIOR_CLIPS)
    spread = (square - 2 * mean * total + number * mean * mean).clamp(min=0)
    within = torch.ones(1) if fitted.within is None else torch.from_numpy(fitted.within)
    variance = (spread + PRIOR_CLIPS * within**2) / (number + PRIOR_CLIPS)
    return (z - mean) / variance.clamp(min=1e-6).sqrt()


def export_onnx(bundle: Bundle, out: str | Path) -> None:
    """Write the classifier; inputs are named by view, `present` and `group`, the output `probabilities`. The names
    of classes and views stand in the file's metadata, and `factors` by which probabilities are multiplied before the
    class is chosen (`Vote.choose`).

    Raises:
        MerError: the bundle has no classes, or its encoders read frames, or the package for it is missing.
    """
    if bundle.standardisation.frames:
        read = ", ".join(bundle.standardisation.frames)
        raise MerError(
            f"ONNX: this bundle reads the frames of {read}; only one that reads vectors ('model.frame_tokens' 0) is "
            "exported"
        )
    if not bundle.classes:
        raise MerError("ONNX: this bundle predicts targets alone; what is exported is the vote on classes")
    try:
        import onnx
    except ImportError:
        raise MerError("ONNX: its packages are not installed; pip install 'mer[onnx]'") from None
    bundle = on_cpu(bundle)
    model = Classifier(bundle).eval()
    example, names = _example(model)
    clips = torch.export.Dim("clips")
    shapes: tuple[Any, ...] = ([{0: clips}] * len(model.names), {0: clips}, *([{0: clips}] if model.by_group else []))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            optimize=False,
            input_names=names,
            output_names=["probabilities"],
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(
        proto,
        {
            "classes": json.dumps(bundle.classes, ensure_ascii=False),
            "views": json.dumps(model.names),
            "factors": json.dumps((-bundle.vote.adjustment * bundle.vote.log_prior).exp().tolist()),
        },
    )
    onnx.checker.check_model(proto)
    Path(out).write_bytes(proto.SerializeToString())


def on_cpu(bundle: Bundle) -> Bundle:
    """The same with parameters that say so."""
    from dataclasses import replace

    model = bundle.model.model_copy(update={"device": "cpu"})
    return replace(bundle, params=bundle.params.model_copy(update={"model": model}))


def _example(model: Classifier) -> tuple[tuple[Any, ...], list[str]]:
    widths = [len(fitted.mean) for fitted in model.bundle.standardisation.standardisers.values()]
    features = [torch.zeros(CLIPS, width) for width in widths]
    present = torch.ones(CLIPS, len(widths), dtype=torch.bool)
    if model.by_group:
        return (features, present, torch.arange(CLIPS)), [*model.names, "present", "group"]
    return (features, present), [*model.names, "present"]
