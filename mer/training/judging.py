"""Teachers of a nest judge: labeled clips out of fold, to be calibrated on; unlabeled clips, for pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from mer.training.frontend import ROWS, Inputs
from mer.training.jury import Jury, OutOfFold
from mer.training.members import Members
from mer.training.nest import Member, Nest

Teachers = Mapping[Member, tuple[Members, int]]
"""Where each teacher is: a stack and its place in it."""


def judge_labeled(nest: Nest, teachers: Teachers, labels: NDArray[np.int64], inputs: Inputs) -> OutOfFold:
    """Logits of every labeled clip of the nest from the teachers that left its fold out; `labels` are all clips'."""
    order, parts = [], []
    for inner in nest.inners:
        own = np.flatnonzero(nest.folds == inner)
        part = inputs.take(nest.labeled[own])
        parts.append(
            torch.cat([judge.logits(part) for judge in _judges(nest, teachers, inner)])
        )  # [seeds, n, heads, C]
        order.append(own)
    rows = nest.labeled[np.concatenate(order)]
    logits = torch.cat(parts, dim=1).transpose(0, 1).cpu().numpy()
    return OutOfFold(logits, inputs.take(rows).present.cpu().numpy(), labels[rows])


def judge_unlabeled(
    nest: Nest, teachers: Teachers, jury: Jury, classes: int, inputs: Inputs, by_parts: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the teachers say of the nest's unlabeled clips.

    Args:
        nest, teachers, jury: who judges, and how they vote.
        classes: C.
        inputs: features of all clips.
        by_parts: teachers train on pseudo-labels, so that only those that left a clip's part out may judge it.

    Returns:
        Probabilities float32 [n, C], and the share of the judges that agree with their mean, float32 [n].
    """
    probabilities = np.zeros((len(nest.unlabeled), classes), np.float32)
    agreeing = np.zeros(len(nest.unlabeled), np.float32)
    for inner in nest.inners if by_parts else [None]:
        judges = _judges(nest, teachers, inner)
        chosen = np.flatnonzero(nest.parts == inner) if by_parts else np.arange(len(nest.unlabeled))
        for start in range(0, len(chosen), ROWS):
            index = chosen[start : start + ROWS]
            part = inputs.take(nest.unlabeled[index])
            votes = torch.cat(
                [jury.probabilities(judge.logits(part), part.present) for judge in judges]
            )  # [judges, n, C]
            mean = votes.mean(dim=0)
            probabilities[index] = mean.cpu().numpy()
            same = votes.argmax(dim=-1) == mean.argmax(dim=-1)
            agreeing[index] = same.float().mean(dim=0).cpu().numpy()
    return probabilities, agreeing


def _judges(nest: Nest, teachers: Teachers, inner: int | None) -> list[Members]:
    """The nest's teachers that left out fold `inner`; all of them for None."""
    return [
        members.select([place])
        for member, (members, place) in teachers.items()
        if member.outer == nest.outer and (inner is None or member.inner == inner)
    ]
