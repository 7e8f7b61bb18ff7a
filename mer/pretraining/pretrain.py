"""Contrastive pretraining of the encoders on all clips, without labels, in every way of standardising."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.errors import MerError
from mer.learning.determinism import deterministic, pick_device
from mer.learning.features import FeatureSet, check_present, grouped
from mer.learning.frames import FrameReader, fit_reader
from mer.learning.inputs import Inputs, Standardisation
from mer.learning.seeds import stream, stream_seed
from mer.learning.speakers import SpeakerGuess, guess_speakers
from mer.learning.standardise import fit_standardiser, standardiser_tensors, standardisers_from
from mer.learning.tensors import read_tensors, write_tensors
from mer.model.combinatorial import CombinatorialContrast, retrieval_at_1
from mer.model.encoder import Frames
from mer.model.mrccl import Encoders
from mer.model.noise import add_noise, alpha_bar
from mer.model.views import Views, hide_views, presence
from mer.params import ModelParams, Params, PretrainParams
from mer.pretraining.batches import make_batches
from mer.running.foreign import foreign

MOST_RANKED = 1000
"""Held-out clips that are ranked among each other at most."""

MANY_CLIPS = 10_000
"""From here on pretraining shares its sums among threads; with fewer these would mostly wait for each other."""

FRAMES = "/frames"
"""After a view's name: what standardises its frames."""

RETRIEVALS = (("audio", "face", "A->V"), ("audio", "text", "A->T"), ("face", "text", "V->T"))


@dataclass(frozen=True)
class Pretrained:
    """The ways to standardise that `model.normalise` names, in its order, and encoders that know them all; None where
    there was no pretraining. `model` and `settings` are what they were made with. `curve` has a row an epoch, starting
    with the random encoders."""

    standardisations: tuple[Standardisation, ...]
    encoders: Encoders | None
    model: ModelParams
    settings: PretrainParams
    curve: list[dict[str, float]] = field(default_factory=list)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return self.standardisations[0].views.modalities

    def save(self, path: str | Path) -> None:
        """Write weights, standardisers and model parameters to one safetensors file."""
        tensors, about = standardisation_tensors(self.standardisations)
        if self.encoders is not None:
            tensors |= {f"encoders.{name}": value for name, value in self.encoders.state_dict().items()}
        write_tensors(path, tensors, {**self._made_with(), "views": about})

    def _made_with(self) -> dict[str, Any]:
        return {"model": self.model.model_dump(mode="json"), "pretrain": self.settings.model_dump(mode="json")}


def load_pretrained(path: str | Path) -> Pretrained:
    """Read what `Pretrained.save` wrote (its curve is not kept).

    Raises:
        MerError: the file is missing or is not a pretrained model.
    """
    tensors, about = read_tensors(path)
    with foreign(f"{path}: not a pretrained model"):
        model = ModelParams.model_validate(about["model"])
        settings = PretrainParams.model_validate(about["pretrain"])
        ways = standardisations_from(tensors, about["views"])
        encoders = encoders_from(tensors, "encoders.", ways[0].views, model)
    return Pretrained(ways, encoders, model, settings)


def standardisation_tensors(ways: tuple[Standardisation, ...]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Ways to standardise as named tensors and a description, to be saved; files call each a view, as they
    always did."""
    tensors: dict[str, Tensor] = {}
    about = []
    for i, way in enumerate(ways):
        parts = standardiser_tensors(way.standardisers)
        if way.guess is not None:
            parts |= standardiser_tensors({"guess": way.guess.standardiser})
            parts["guess.centroids"] = torch.from_numpy(way.guess.centroids)
        parts |= standardiser_tensors({f"{name}{FRAMES}": reader.standardiser for name, reader in way.frames.items()})
        tensors |= {f"view.{i}.{name}": value for name, value in parts.items()}
        guess = None if way.guess is None else way.guess.modality
        whose = {name: way.modality.get(name, name) for name in way.standardisers}
        told: dict[str, Any] = {"name": way.name, "modality": list(whose.items()), "guess": guess}
        if way.blocks:
            told["blocks"] = dict(way.blocks)
        if way.frames:
            told["frames"] = {name: reader.most for name, reader in way.frames.items()}
        about.append(told)
    return tensors, about


def standardisations_from(tensors: Mapping[str, Tensor], about: list[dict[str, Any]]) -> tuple[Standardisation, ...]:
    """What `standardisation_tensors` took apart; KeyError, TypeError or ValueError where something is amiss."""
    ways = []
    for i, one in enumerate(about):
        start = f"view.{i}."
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        guess = None
        if one["guess"] is not None:
            fitted = standardisers_from(own, ["guess"])["guess"]
            guess = SpeakerGuess(one["guess"], fitted, own["guess.centroids"].numpy())
        whose = dict(one["modality"])
        frames = {
            name: FrameReader(standardisers_from(own, [f"{name}{FRAMES}"])[f"{name}{FRAMES}"], int(most))
            for name, most in one.get("frames", {}).items()
        }
        blocks = {name: int(number) for name, number in one.get("blocks", {}).items()}
        ways.append(Standardisation(one["name"], standardisers_from(own, list(whose)), guess, whose, frames, blocks))
    return tuple(ways)


def encoders_from(tensors: Mapping[str, Tensor], prefix: str, views: Views, model: ModelParams) -> Encoders | None:
    """Encoders from tensors whose names start with `prefix`; None where there are none."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not own:
        return None
    encoders = make_encoders(views, model)
    encoders.load_state_dict(own)
    return encoders.requires_grad_(False)


def make_encoders(views: Views, model: ModelParams) -> Encoders:
    """Untrained encoders; the caller seeds torch."""
    return Encoders(views, model.width, model.blocks, model.heads, max(1, model.frame_tokens))


def pretrain(features: FeatureSet, params: Params) -> Pretrained:
    """Fit standardisers on all clips, then train the encoders until held-out retrieval stops rising.

    No label is read. With `pretrain.epochs` 0, or a `model.kind` that has no use for them, there are no encoders.

    Raises:
        MerError: a modality that `model.modalities` names has no features, no clip has any modality, or the loss is
            not a number any more.
    """
    features = features.only(params.model.modalities)
    check_present(features, np.arange(len(features)), "pretrain: no clip")
    threads = params.model.threads if len(features) >= MANY_CLIPS else 1
    with deterministic(params.pretrain.seed, threads):
        ways = fit_standardisations(features, params)
        if params.model.kind != "mrccl" or not params.pretrain.epochs:
            return Pretrained(ways, None, params.model, params.pretrain)
        encoders, curve = _train(features, ways, params)
    return Pretrained(ways, encoders, params.model, params.pretrain, curve)


def fit_standardisations(features: FeatureSet, params: Params) -> tuple[Standardisation, ...]:
    """The ways of `model.normalise`, fitted: `group` only where some clip's group is known, and a guess for each
    modality (by its first view, so that more views are no more ways) and number of speakers."""
    model, ways = params.model, []
    first = {features.modality_of(name): name for name in reversed(features.views)}
    known = any(name is not None for name in features.groups)
    for way in model.normalise:
        if way == "guessed":
            ways += [
                _guessed(features, first[name], number, params)
                for name in features.modalities
                for number in model.speakers
            ]
        elif way == "corpus" or known:
            ways.append(Standardisation(way, {}))
    return tuple(_fitted(features, way, model) for way in ways or [Standardisation("corpus", {})])


def _guessed(features: FeatureSet, name: str, number: int, params: Params) -> Standardisation:
    guess = guess_speakers(name, features.features[name], features.present[name], number, params.pretrain.seed)
    return Standardisation(f"guessed {name} {number}", {}, guess)


def _fitted(features: FeatureSet, way: Standardisation, model: ModelParams) -> Standardisation:
    codes, guessed = way.groups(features.features, features.present, features.groups), way.guess is not None
    standardisers = {
        name: fit_standardiser(
            x,
            features.present[name],
            model.components,
            codes,
            guessed=guessed,
            whiten=model.whiten,
            blocks=features.blocks.get(name, 1),
        )
        for name, x in features.features.items()
    }
    readers = {
        name: fit_reader(
            of, features.present[name], model.most_frames, model.components, codes, guessed=guessed, whiten=model.whiten
        )
        for name, of in features.frames.items()
        if model.reads_frames
    }
    whose = {name: features.modality_of(name) for name in standardisers}
    blocks = dict(features.blocks)
    return replace(way, standardisers=standardisers, modality=whose, frames=readers, blocks=blocks)


def _train(
    features: FeatureSet, ways: tuple[Standardisation, ...], params: Params
) -> tuple[Encoders, list[dict[str, float]]]:
    """Each epoch sees the clips standardised in the next way, so that one set of encoders serves whichever is
    chosen later."""
    settings, device = params.pretrain, pick_device(params.model.device)
    torch.manual_seed(stream_seed(settings.seed, "encoders"))
    ways = ways[: settings.epochs]
    clips = (features.features, features.present, features.groups)
    first = ways[0].inputs(*clips, device, features.frames)
    encoders = make_encoders(ways[0].views, params.model).to(device)
    contrast = CombinatorialContrast(
        encoders.modalities, params.model.width, settings.objective, settings.temperature, settings.learn_temperature
    ).to(device)
    known = settings.batches == "speaker" and any(name is not None for name in features.groups)
    speakers = grouped(features.groups) if known else None
    train, held_out = _hold_out(features.split, settings)
    order = stream(settings.seed, "batches")
    batches = len(make_batches(train, speakers, settings.batch_size, stream(0)))
    parameters = [p for p in (*encoders.parameters(), *contrast.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * batches)
    noise, hidden = _Noise(settings), torch.Generator().manual_seed(stream_seed(settings.seed, "hidden views"))
    curve = [{"epoch": 0.0, **_retrieval(encoders, first.take(held_out))}]
    best, best_score, best_epoch = copy.deepcopy(encoders), _mean_retrieval(curve[0]), 0
    for epoch in range(1, settings.epochs + 1):
        way = ways[(epoch - 1) % len(ways)]
        inputs = first if way is ways[0] else way.inputs(*clips, device, features.frames)
        sums = torch.zeros(len(contrast.log_temperature), device=device)
        for rows in make_batches(train, speakers, settings.batch_size, order):
            batch = inputs.take(rows)
            present = batch.present
            if params.model.view_dropout:
                kept = torch.rand(present.shape, generator=hidden) >= params.model.view_dropout
                present = hide_views(present, encoders.views, kept.to(device))
            tokens = batch.tokens()
            terms = contrast(encoders, tokens, noise(tokens), present)
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
        curve.append(row | _retrieval(encoders, first.take(held_out)))
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

    def __call__(self, features: Sequence[Tensor | Frames]) -> list[Tensor | Frames]:
        return [Frames(self._of(x.values), x.real) if isinstance(x, Frames) else self._of(x) for x in features]

    def _of(self, x: Tensor) -> Tensor:
        return add_noise(x, self.alpha, self.kind, self.generator)


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
    found = encoders(held_out.tokens(), held_out.present) if len(held_out) else []
    h = dict(zip(encoders.modalities, found, strict=True)) if len(held_out) else {}
    there = presence(held_out.present, list(encoders.views.by_modality.values()))
    rates: dict[str, Any] = {}
    for query, key, name in RETRIEVALS:
        if query in encoders.modalities and key in encoders.modalities:
            both = there[:, [encoders.modalities.index(query), encoders.modalities.index(key)]].all(dim=1)
            rates[name] = retrieval_at_1(h[query][both], h[key][both]) if h else float("nan")
    return rates


def _mean_retrieval(row: Mapping[str, float]) -> float:
    """The mean of the rates that could be measured; NaN where none could, which depends on the clips alone."""
    rates = [row[name] for _, _, name in RETRIEVALS if name in row and not math.isnan(row[name])]
    return float(np.mean(rates)) if rates else math.nan
