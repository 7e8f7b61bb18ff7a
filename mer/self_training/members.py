"""Trains many ensemble members (chains x seeds) together, as one model with stacked parameters.

What a member becomes does not depend on its company: its weights, batches and dropout are drawn from its own streams,
and every member takes the same number of steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mer.errors import MerError
from mer.learning.inputs import Inputs
from mer.learning.seeds import stream_seed
from mer.model.mrccl import Heads, LinearHeads
from mer.model.views import presence
from mer.params import Params, SelfTrainParams
from mer.self_training.batches import Batch, Batches, LearningSet

TOGETHER = 13
"""Members in one stack at most: stacks are trained side by side, each on one thread."""

ROWS = 4096
"""Clips predicted at once."""

OBSERVED = 10
"""Losses noted along the way."""

Stack = dict[str, Tensor]


@dataclass(frozen=True)
class Members:
    """Trained members: one architecture, parameters stacked along the first axis. `losses` [members, times] are means
    over the steps since the time before."""

    architecture: nn.Module
    stack: Stack
    losses: NDArray[np.float64]

    def __len__(self) -> int:
        return len(next(iter(self.stack.values())))

    def select(self, members: Sequence[int]) -> Members:
        """Some of the members."""
        index = torch.as_tensor(list(members))
        stack = {name: value[index.to(value.device)] for name, value in self.stack.items()}
        return Members(self.architecture, stack, self.losses[list(members)])

    @torch.no_grad()
    def logits(self, inputs: Inputs) -> Tensor:
        """Every member's logits of every clip: [members, N, heads, C]."""
        starts = range(0, max(1, len(inputs)), ROWS)
        return torch.cat([self.forward(inputs[start : start + ROWS]) for start in starts], dim=1)

    def forward(self, inputs: Inputs) -> Tensor:
        """As `logits`, of all clips at once."""
        return _every(self.architecture, shared=True)(self.stack, inputs.features, inputs.present, None)


def train_members(
    make: Callable[[], nn.Module],
    sets: Sequence[LearningSet],
    sources: Sequence[Inputs],
    classes: int,
    params: Params,
) -> Members:
    """Train one member a learning set.

    Args:
        make: an untrained member; torch's generator is seeded from the set's name before each call.
        sets: what each member learns.
        sources: features of all clips in each way that a member may see them, resident on the device.
        classes: C.
        params: `model`, `self_train` and the noise of `pretrain` are read.
    """
    stacks: list[tuple[Sequence[LearningSet], list[nn.Module]]] = []
    for start in range(0, len(sets), TOGETHER):
        part = sets[start : start + TOGETHER]
        stacks.append((part, [_seeded(make, params.self_train.seed, one) for one in part]))
    workers = min(params.model.threads or os.cpu_count() or 1, len(stacks))

    def train(stack: tuple[Sequence[LearningSet], list[nn.Module]]) -> Members:
        return _train_stack(stack[1], stack[0], sources, classes, params)

    if workers == 1:
        found = [train(stack) for stack in stacks]
    else:  # threads of our own, each with one of torch's: OpenMP's would spin while they wait for each other
        with ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
            found = list(pool.map(train, stacks))
    joined = {name: torch.cat([one.stack[name] for one in found]) for name in found[0].stack}
    return Members(found[0].architecture, joined, np.concatenate([one.losses for one in found]))


def _train_stack(
    models: Sequence[nn.Module],
    sets: Sequence[LearningSet],
    sources: Sequence[Inputs],
    classes: int,
    params: Params,
) -> Members:
    settings, device = params.self_train, sources[0].present.device
    models = [model.to(device) for model in models]
    stack, _ = stack_module_state(models)
    optimiser = _optimiser(stack, settings)
    views = getattr(models[0], "views", None)
    batches = Batches(sets, sources, classes, params, views, on_features=isinstance(models[0], LinearHeads))
    shift = torch.from_numpy(np.stack([_log_prior(one, classes, settings) for one in sets])).to(device)
    every = _every(models[0], shared=False)
    window, observed, losses = torch.zeros(len(sets), device=device), max(1, settings.steps // OBSERVED), []
    for step in range(settings.steps):
        batch = batches(step)
        logits = every(stack, batch.features, batch.present, batch.keep)  # [S, B, heads, C]
        loss = member_losses(logits + shift[:, None, None], batch, cast(Sequence[Sequence[int]], models[0].sees))
        for value in stack.values():
            value.grad = None
        loss.sum().backward()
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * _half_cosine(step, settings.steps)
        optimiser.step()
        window += loss.detach()
        if (step + 1) % observed == 0:
            losses.append((window / observed).cpu().numpy().astype(np.float64))
            window.zero_()
            if not np.isfinite(losses[-1]).all():
                raise MerError(
                    f"self_train: the loss is no number at step {step + 1}; lower 'self_train.learning_rate'"
                )
    values = {name: value.detach() for name, value in stack.items()}
    return Members(models[0].requires_grad_(False), values, np.stack(losses, axis=1))


def member_losses(logits: Tensor, batch: Batch, sees: Sequence[Sequence[int]]) -> Tensor:
    """Weighted cross-entropy of every member's batch, averaged over the heads that see something: [S, B, heads, C] to
    [S]. Targets are probabilities [S, B, C], one for the class of a labeled clip; `sees` has each head's inputs."""
    entropy = -(batch.targets[:, :, None] * logits.log_softmax(dim=-1)).sum(dim=-1)  # [S, B, heads]
    seeing = presence(batch.present, sees).to(batch.weights)
    share = batch.weights / seeing.sum(dim=2).clamp(min=1) / batch.weights.shape[1]
    return (entropy * seeing * share[..., None]).sum(dim=(1, 2))


def _seeded(make: Callable[[], nn.Module], seed: int, one: LearningSet) -> nn.Module:
    """Not on a thread of its own: torch's generator is global."""
    torch.manual_seed(stream_seed(seed, "weights", *one.name))
    return make()


def _half_cosine(step: int, steps: int) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)


def _optimiser(stack: Stack, settings: SelfTrainParams) -> torch.optim.Optimizer:
    """AdamW, whose step of one member is the same whoever stands beside it; encoders have a rate of their own."""
    encoders = [value for name, value in stack.items() if name.startswith("encoders.")]
    others = [value for name, value in stack.items() if not name.startswith("encoders.")]
    groups = [{"params": others, "initial_lr": settings.learning_rate}]
    if encoders:
        groups.append({"params": encoders, "initial_lr": settings.encoder_learning_rate})
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def _log_prior(one: LearningSet, classes: int, settings: SelfTrainParams) -> NDArray[np.float32]:
    """What logit adjustment (Menon et al. 2021, eq. 10) adds to the logits in training, [C]."""
    counts = np.bincount(one.labels, minlength=classes) + 1.0
    return (settings.logit_adjustment * np.log(counts / counts.sum())).astype(np.float32)


def _every(architecture: nn.Module, *, shared: bool) -> Callable[..., Tensor]:
    """All members' forward: of the same clips (`shared`) or of a batch each.

    `Heads` and `LinearHeads` take stacked parameters as they are; `vmap` makes the others do so.
    """

    def forward(stack: Stack, features: list[Tensor], present: Tensor, keep: Tensor | None) -> Tensor:
        return functional_call(architecture, stack, (features, present, keep))

    if isinstance(architecture, Heads | LinearHeads):
        return forward
    return vmap(forward, in_dims=(0, None, None, None) if shared else 0)
