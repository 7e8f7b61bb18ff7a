"""Contrastive pretraining of the encoders on all clips, without labels, in every way of standardising."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.errors import MerError
from mer.learning.determinism import deterministic, pick_device
from mer.learning.features import FeatureSet, grouped
from mer.learning.inputs import Inputs, View
from mer.learning.seeds import stream, stream_seed
from mer.learning.speakers import SpeakerGuess, guess_speakers
from mer.learning.standardise import fit_standardiser, standardiser_tensors, standardisers_from
from mer.learning.tensors import read_tensors, write_tensors
from mer.model.combinatorial import CombinatorialContrast, retrieval_at_1
from mer.model.mrccl import Encoders
from mer.model.noise import add_noise, alpha_bar
from mer.params import ModelParams, Params, PretrainParams
from mer.pretraining.batches import make_batches

MOST_RANKED = 1000
"""Held-out clips that are ranked among each other at most."""

RETRIEVALS = (("audio", "face", "A->V"), ("audio", "text", "A->T"), ("face", "text", "V->T"))


@dataclass(frozen=True)
class Pretrained:
    """The clips seen in every way that `model.normalise` names, in its order. `curve` has a row an epoch and view,
    starting with the random encoders."""

    views: tuple[View, ...]
    model: ModelParams
    curve: list[dict[str, Any]] = field(default_factory=list)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.views[0].standardisers)

    def save(self, path: str | Path) -> None:
        """Write weights, standardisers and model parameters to one safetensors file."""
        tensors, about = view_tensors(self.views)
        write_tensors(path, tensors, {"model": self.model.model_dump(mode="json"), "views": about})


def load_pretrained(path: str | Path) -> Pretrained:
    """Read what `Pretrained.save` wrote (its curve is not kept).

    Raises:
        MerError: the file is missing or is not a pretrained model.
    """
    tensors, about = read_tensors(path)
    try:
        model = ModelParams.model_validate(about["model"])
        views = views_from(tensors, about["views"], model)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise MerError(f"{path}: not a pretrained model: {error}") from None
    return Pretrained(views, model)


def view_tensors(views: tuple[View, ...]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Views as named tensors and a description, to be saved."""
    tensors: dict[str, Tensor] = {}
    about = []
    for view in views:
        parts = standardiser_tensors(view.standardisers)
        if view.encoders is not None:
            parts |= {f"encoders.{name}": value for name, value in view.encoders.state_dict().items()}
        if view.guess is not None:
            parts |= standardiser_tensors({"guess": view.guess.standardiser})
            parts["guess.centroids"] = torch.from_numpy(view.guess.centroids)
        tensors |= {f"{view.normalise}.{name}": value for name, value in parts.items()}
        guess = None if view.guess is None else view.guess.modality
        about.append(
            {"normalise": view.normalise, "widths": view.widths, "guess": guess, "encoders": view.encoders is not None}
        )
    return tensors, about


def views_from(tensors: Mapping[str, Tensor], about: list[dict[str, Any]], model: ModelParams) -> tuple[View, ...]:
    """What `view_tensors` took apart; KeyError, ValueError or RuntimeError where something is missing or amiss."""
    views = []
    for one in about:
        start = f"{one['normalise']}."
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        guess = encoders = None
        if one["guess"] is not None:
            fitted = standardisers_from(own, ["guess"])["guess"]
            guess = SpeakerGuess(one["guess"], fitted, own["guess.centroids"].numpy())
        if one["encoders"]:
            prefix = "encoders."
            encoders = make_encoders(one["widths"], model)
            encoders.load_state_dict({k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)})
            encoders.requires_grad_(False)
        views.append(View(one["normalise"], standardisers_from(own, list(one["widths"])), guess, encoders))
    return tuple(views)


def make_encoders(widths: Mapping[str, int], model: ModelParams) -> Encoders:
    """Untrained encoders; the caller seeds torch."""
    return Encoders(widths, model.width, model.blocks, model.heads)


def pretrain(features: FeatureSet, params: Params) -> Pretrained:
    """Fit standardisers on all clips, then train the encoders until held-out retrieval stops rising.

    No label is read. With `pretrain.epochs` 0, or a `model.kind` that has no use for them, there are no encoders.

    Raises:
        MerError: a modality that `model.modalities` names has no features, or the loss is not a number any more.
    """
    features = features.only(params.model.modalities)
    with deterministic(params.pretrain.seed, params.model.threads):
        views: list[View] = []
        curve: list[dict[str, Any]] = []
        for view in standardised_views(features, params):
            if params.model.kind == "mrccl" and params.pretrain.epochs:
                encoders, rows = _train(features, view, params)
                view = replace(view, encoders=encoders)
                curve += [{"view": view.normalise, **row} for row in rows]
            views.append(view)
    return Pretrained(tuple(views), params.model, curve)


def standardised_views(features: FeatureSet, params: Params) -> list[View]:
    """A view without encoders for each way of standardising; `group` only where some clip's group is known."""
    model, views = params.model, []
    known = any(name is not None for name in features.groups)
    wanted = [way for way in model.normalise if way != "group" or known] or ["corpus"]
    for way in wanted:
        guess = _guess(features, params) if way == "guessed" else None
        view = View(way, {}, guess)
        codes = view.groups(features.features, features.present, features.groups)
        standardisers = {
            name: fit_standardiser(
                x, features.present[name], model.components, codes, guessed=way == "guessed", whiten=model.whiten
            )
            for name, x in features.features.items()
        }
        views.append(replace(view, standardisers=standardisers))
    return views


def _guess(features: FeatureSet, params: Params) -> SpeakerGuess:
    name = params.model.speakers_from if params.model.speakers_from in features.features else features.modalities[0]
    x, present = features.features[name], features.present[name]
    fitted = fit_standardiser(x, present, params.model.components)
    return guess_speakers(name, x, present, fitted, params.model.speakers, params.pretrain.seed)


def _speakers(features: FeatureSet, view: View, params: Params) -> NDArray[np.int64] | None:
    """Whose clip each is, for `pretrain.batches: speaker`: as the corpus says, else guessed; None to mix them."""
    if params.pretrain.batches == "mixed":
        return None
    if any(name is not None for name in features.groups):
        return grouped(features.groups)
    guess = view.guess or _guess(features, params)
    return guess(features.features[guess.modality], features.present[guess.modality])


def _train(features: FeatureSet, view: View, params: Params) -> tuple[Encoders, list[dict[str, float]]]:
    settings, device = params.pretrain, pick_device(params.model.device)
    torch.manual_seed(stream_seed(settings.seed, "encoders"))
    inputs = view.inputs(features.features, features.present, features.groups, device)
    encoders = make_encoders(view.widths, params.model).to(device)
    contrast = CombinatorialContrast(
        encoders.modalities, params.model.width, settings.objective, settings.temperature, settings.learn_temperature
    ).to(device)
    speakers = _speakers(features, view, params)
    train, held_out = _hold_out(features.split, settings)
    order = stream(settings.seed, "batches")
    batches = len(make_batches(train, speakers, settings.batch_size, stream(0)))
    parameters = [p for p in (*encoders.parameters(), *contrast.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * batches)
    noise = _Noise(settings)
    curve = [{"epoch": 0.0, **_retrieval(encoders, inputs.take(held_out))}]
    best, best_score, best_epoch = copy.deepcopy(encoders), _mean_retrieval(curve[0]), 0
    for epoch in range(1, settings.epochs + 1):
        sums = torch.zeros(len(contrast.log_temperature), device=device)
        for rows in make_batches(train, speakers, settings.batch_size, order):
            batch = inputs.take(rows)
            terms = contrast(encoders, batch.features, noise(batch.features), batch.present)
            optimiser.zero_grad()
            _total(terms, contrast, settings).backward()
            optimiser.step()
            schedule.step()
            sums += terms.detach()
        means = sums / batches
        row = {"epoch": float(epoch), "loss": float(_total(means, contrast, settings))}
        if not math.isfinite(row["loss"]):
            raise MerError(f"pretrain: the loss is {row['loss']} in epoch {epoch}; lower 'pretrain.learning_rate'")
        row |= dict(zip([*contrast.inter_terms, *contrast.noise_terms], means.tolist(), strict=True))
        curve.append(row | _retrieval(encoders, inputs.take(held_out)))
        score = _mean_retrieval(curve[-1])
        if not score <= best_score:  # better, or not a number as there is nothing to rank: then train to the end
            best, best_score, best_epoch = copy.deepcopy(encoders), score, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    return best.cpu().requires_grad_(False), curve


class _Noise:
    """Noisy copies of a batch; the generator lives on the CPU, so that a GPU draws the same noise."""

    def __init__(self, settings: PretrainParams) -> None:
        self.kind = settings.noise
        self.alpha = alpha_bar(settings.schedule, settings.noise_steps, settings.beta_start, settings.beta_end)
        self.generator = torch.Generator().manual_seed(stream_seed(settings.seed, "noise"))

    def __call__(self, features: list[Tensor]) -> list[Tensor]:
        return [add_noise(x, self.alpha, self.kind, self.generator) for x in features]


def _hold_out(split: NDArray[np.object_], settings: PretrainParams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, and rows to rank, none of them of the test split: the epoch is chosen by them. A corpus too
    small to rank anything keeps none out."""
    shuffled = stream(settings.seed, "held out").permutation(len(split))
    allowed = shuffled[split[shuffled] != "test"]
    number = min(int(settings.held_out * len(split)), len(allowed) // 2, MOST_RANKED)
    held_out = allowed[: number if number >= 2 else 0]
    return np.setdiff1d(np.arange(len(split)), held_out), np.sort(held_out)


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
    """The mean of the rates that could be measured; NaN where none could, which depends on the clips alone."""
    rates = [row[name] for _, _, name in RETRIEVALS if name in row and not math.isnan(row[name])]
    return float(np.mean(rates)) if rates else math.nan
