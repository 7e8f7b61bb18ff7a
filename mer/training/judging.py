"""Teachers of a nest judge: labeled clips out of fold, to be calibrated on; unlabeled clips, for pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mer.model.voting import PUBLISHED, head_presence
from mer.params import SelfTrainParams
from mer.training.calibration import fit_head_temperatures
from mer.training.inputs import Inputs
from mer.training.jury import Jury
from mer.training.members import ROWS, Members
from mer.training.nest import Member, Nest

Teachers = Mapping[Member, tuple[Members, int]]
"""Where each teacher is: a stack and its place in it."""


@dataclass(frozen=True)
class OutOfFold:
    """What a nest's teachers say of the labeled clips that they did not see.

    `logits` float32 [n, seeds, heads, C] and `present` bool [n, M] in the order of the nest's labeled rows.
    """

    logits: NDArray[np.float32]
    present: NDArray[np.bool_]

    def probabilities(self, jury: Jury) -> NDArray[np.float32]:
        """Calibrated vote, averaged over the seeds: [n, C]."""
        by_seed = torch.from_numpy(self.logits).transpose(0, 1)
        return jury.probabilities(by_seed, torch.from_numpy(self.present)).mean(dim=0).numpy()


def judge_labeled(nest: Nest, teachers: Teachers, seeds: int, inputs: Inputs) -> OutOfFold:
    """Logits of every labeled clip of the nest from the teachers that left its fold out."""
    device = inputs.present.device
    parts: dict[int, NDArray[np.float32]] = {}
    for inner in nest.inners:
        part = inputs.take(torch.from_numpy(nest.labeled[nest.folds == inner]).to(device))
        judges = [teachers[Member(nest.outer, inner, seed)] for seed in range(seeds)]
        given = torch.cat([members.select([place]).logits(part) for members, place in judges])  # [seeds, n, heads, C]
        parts[inner] = given.transpose(0, 1).cpu().numpy()
    some = next(iter(parts.values()))
    logits = np.zeros((len(nest.labeled), *some.shape[1:]), np.float32)
    for inner, values in parts.items():
        logits[nest.folds == inner] = values
    present = inputs.present[torch.from_numpy(nest.labeled).to(device)]
    return OutOfFold(logits, present.cpu().numpy())


def make_jury(oof: OutOfFold, labels: NDArray[np.int64], heads: tuple[str, ...], settings: SelfTrainParams) -> Jury:
    """Temperatures and voting weights of the heads, from out-of-fold logits and their labels int64 [n]."""
    count, seeds = oof.logits.shape[:2]
    flat = oof.logits.reshape(count * seeds, *oof.logits.shape[2:])
    heard = head_presence(torch.from_numpy(oof.present), len(heads)).numpy()
    temperature = fit_head_temperatures(flat, np.repeat(labels, seeds), np.repeat(heard, seeds, axis=0))
    published = [PUBLISHED[head] for head in heads]
    weights = np.array(published if settings.voting == "published" else [1.0] * len(heads), np.float32)
    return Jury(temperature, weights)


def judge_unlabeled(
    nest: Nest, teachers: Teachers, jury: Jury, inputs: Inputs, trained_on_unlabeled: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities float32 [n, C] of the nest's unlabeled clips, and the share of its judges that agree, [n].

    All teachers judge a clip, or, once they train on pseudo-labels, those that left its part out.
    """
    own = [member for member in teachers if member.outer == nest.outer]
    probabilities, agreeing = None, np.zeros(len(nest.unlabeled), np.float32)
    for inner in nest.inners if trained_on_unlabeled else [None]:
        judges = [teachers[member] for member in own if inner is None or member.inner == inner]
        chosen = np.flatnonzero(nest.parts == inner) if inner is not None else np.arange(len(nest.unlabeled))
        for start in range(0, len(chosen), ROWS):
            index = chosen[start : start + ROWS]
            part = inputs.take(torch.from_numpy(nest.unlabeled[index]).to(inputs.present.device))
            votes = torch.cat(
                [jury.probabilities(members.select([place]).logits(part), part.present) for members, place in judges]
            )  # [judges, n, C]
            mean = votes.mean(dim=0)
            if probabilities is None:
                probabilities = np.zeros((len(nest.unlabeled), mean.shape[-1]), np.float32)
            probabilities[index] = mean.cpu().numpy()
            same = votes.argmax(dim=-1) == mean.argmax(dim=-1)
            agreeing[index] = same.float().mean(dim=0).cpu().numpy()
    return probabilities if probabilities is not None else np.zeros((0, 0), np.float32), agreeing
