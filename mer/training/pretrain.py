"""Contrastive pretraining of the encoders on all clips, without labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.errors import MerError
from mer.model.combinatorial import CombinatorialContrast, retrieval_at_1
from mer.model.mrccl import Encoders
from mer.model.noise import add_noise, alpha_bar
from mer.params import ModelParams, Params, PretrainParams
from mer.training.determinism import deterministic, pick_device
from mer.training.features import FeatureSet, grouped
from mer.training.frontend import Frontend, Inputs
from mer.training.standardise import Standardiser, fit_standardiser, standardiser_tensors, standardisers_from
from mer.training.tensors import read_tensors, write_tensors

MOST_RANKED = 1000
"""Held-out clips that are ranked among each other at most."""

RETRIEVALS = (("audio", "face", "A->V"), ("audio", "text", "A->T"), ("face", "text", "V->T"))


@dataclass(frozen=True)
class Pretrained:
    """Encoders and the standardisers they expect. `curve` has a row an epoch, starting with the random encoders."""

    encoders: Encoders
    standardisers: Mapping[str, Standardiser]
    model: ModelParams
    curve: list[dict[str, float]] = field(default_factory=list)

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> columns that its encoder takes."""
        return {name: fitted.width for name, fitted in self.standardisers.items()}

    def save(self, path: str | Path) -> None:
        """Write weights, standardisers and model parameters to one safetensors file."""
        tensors = {f"encoders.{name}": value for name, value in self.encoders.state_dict().items()}
        tensors |= standardiser_tensors(self.standardisers)
        write_tensors(path, tensors, {"model": self.model.model_dump(mode="json"), "widths": self.widths})


def load_pretrained(path: str | Path) -> Pretrained:
    """Read what `Pretrained.save` wrote (its curve is not kept).

    Raises:
        MerError: the file is missing or is not a pretrained model.
    """
    tensors, about = read_tensors(path)
    try:
        model = ModelParams.model_validate(about["model"])
        encoders = make_encoders(about["widths"], model)
        prefix = "encoders."
        encoders.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        standardisers = standardisers_from(tensors, tuple(about["widths"]))
    except (KeyError, ValueError, RuntimeError) as error:
        raise MerError(f"{path}: not a pretrained model: {error}") from None
    return Pretrained(encoders, standardisers, model)


def make_encoders(widths: Mapping[str, int], model: ModelParams) -> Encoders:
    """Untrained encoders; the caller seeds torch."""
    return Encoders(widths, model.width, model.blocks, model.heads)


def pretrain(features: FeatureSet, params: Params) -> Pretrained:
    """Fit standardisers on all clips, then train the encoders until held-out retrieval stops rising.

    No label is read. With `pretrain.epochs` 0 the encoders stay as they were initialised, and so do those of a
    `model.kind` that has no use for them.

    Raises:
        MerError: a modality that `model.modalities` names has no features.
    """
    features = features.only(params.model.modalities)
    device = pick_device(params.model.device)
    groups = grouped(features.groups) if params.model.normalise == "group" else None
    with deterministic(params.pretrain.seed, params.model.threads):
        standardisers = {
            name: fit_standardiser(x, features.present[name], params.model.components, groups)
            for name, x in features.features.items()
        }
        inputs = Frontend(standardisers, encoders=None)(features.features, features.present, groups, device)
        encoders = make_encoders({name: fit.width for name, fit in standardisers.items()}, params.model).to(device)
        epochs = params.pretrain.epochs if params.model.kind == "mrccl" else 0
        labeled = np.flatnonzero(features.split == "labeled")
        best, curve = _train(encoders, inputs, labeled, params, epochs)
    return Pretrained(best.cpu(), standardisers, params.model, curve)


def _train(
    encoders: Encoders, inputs: Inputs, labeled: NDArray[np.int64], params: Params, epochs: int
) -> tuple[Encoders, list[dict[str, float]]]:
    settings = params.pretrain
    device = inputs.present.device
    contrast = CombinatorialContrast(
        encoders.modalities, params.model.width, settings.objective, settings.temperature
    ).to(device)
    order = np.random.default_rng(settings.seed)
    train, held_out = _hold_out(len(inputs), labeled, settings, order)
    batches = max(1, math.ceil(len(train) / settings.batch_size))
    parameters = [*encoders.parameters(), *contrast.parameters()]
    optimiser = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, epochs * batches))
    noise = _Noise(settings)
    curve = [{"epoch": 0.0, **_retrieval(encoders, inputs.take(held_out))}]
    best, best_score, best_epoch = copy.deepcopy(encoders), _mean_retrieval(curve[0]), 0
    for epoch in range(1, epochs + 1):
        sums = torch.zeros(len(contrast.log_temperature), device=device)
        for rows in np.array_split(order.permutation(train), batches):
            batch = inputs.take(rows)
            terms = contrast(encoders, batch.features, noise(batch.features), batch.present)
            optimiser.zero_grad()
            _total(terms, contrast, settings).backward()
            optimiser.step()
            schedule.step()
            sums += terms.detach()
        means = sums / batches
        row = {"epoch": float(epoch), "loss": float(_total(means, contrast, settings))}
        row |= dict(zip([*contrast.inter_terms, *contrast.noise_terms], means.tolist(), strict=True))
        curve.append(row | _retrieval(encoders, inputs.take(held_out)))
        score = _mean_retrieval(curve[-1])
        if math.isnan(score) or score > best_score:
            best, best_score, best_epoch = copy.deepcopy(encoders), score, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    return best, curve


class _Noise:
    """Noisy copies of a batch; the generator lives on the CPU, so that a GPU draws the same noise."""

    def __init__(self, settings: PretrainParams) -> None:
        self.kind = settings.noise
        self.alpha = alpha_bar(settings.schedule, settings.noise_steps, settings.beta_start, settings.beta_end)
        self.generator = torch.Generator().manual_seed(settings.seed)

    def __call__(self, features: list[Tensor]) -> list[Tensor]:
        return [add_noise(x, self.alpha, self.kind, self.generator) for x in features]


def _hold_out(
    clips: int, labeled: NDArray[np.int64], settings: PretrainParams, order: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, and rows to rank; a corpus too small to rank anything keeps none out.

    Encodings of clips that were contrasted with each other agree more than those of new clips ever will. A classifier
    that learns from such encodings, or is calibrated on them, trusts the weaker modalities too much; so the labeled
    clips stay out, if enough others are left.
    """
    shuffled = order.permutation(clips)
    if settings.labeled_out and 2 <= len(labeled) <= clips / 2:
        is_labeled = np.isin(shuffled, labeled)
        return np.sort(shuffled[~is_labeled]), np.sort(shuffled[is_labeled][:MOST_RANKED])
    number = min(int(settings.held_out * clips), MOST_RANKED)
    if number < 2:
        number = 0
    return np.sort(shuffled[number:]), np.sort(shuffled[:number])


def _total(terms: Tensor, contrast: CombinatorialContrast, settings: PretrainParams) -> Tensor:
    inter = len(contrast.inter_terms)
    total = settings.noise_weight * terms[inter:].mean()
    return total + settings.inter_weight * terms[:inter].mean() if inter else total


@torch.no_grad()
def _retrieval(encoders: Encoders, held_out: Inputs) -> dict[str, float]:
    """Retrieval@1 between each two modalities, among the held-out clips that have both."""
    h = dict(zip(encoders.modalities, encoders(held_out.features), strict=True)) if len(held_out) else {}
    rates: dict[str, Any] = {}
    for query, key, name in RETRIEVALS:
        if query in encoders.modalities and key in encoders.modalities:
            both = held_out.present[:, [encoders.modalities.index(query), encoders.modalities.index(key)]].all(dim=1)
            rates[name] = retrieval_at_1(h[query][both], h[key][both]) if h else float("nan")
    return rates


def _mean_retrieval(row: Mapping[str, float]) -> float:
    rates = [row[name] for _, _, name in RETRIEVALS if name in row]
    return float(np.mean(rates)) if rates else float("nan")
