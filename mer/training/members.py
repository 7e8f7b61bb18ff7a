"""Trains many members (folds x seeds) together, as one model with stacked parameters.

What a member becomes does not depend on its company: its weights, batches and dropout are drawn from its own seed, and
every member takes the same number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mer.model.mrccl import Heads
from mer.params import Params, SelfTrainParams
from mer.training.batches import Batch, Batches, TrainingSet
from mer.training.frontend import Inputs
from mer.training.head_gradients import HeadGradients, loss_weights

TOGETHER = 32
"""Members in one stack at most: it bounds the memory, and no result depends on it."""

ROWS = 4096
"""Clips judged at once."""

Stack = dict[str, Tensor]
Observer = Callable[[int, "Members", NDArray[np.float64]], None]


@dataclass(frozen=True)
class Members:
    """Trained members: one architecture, parameters stacked along the first axis."""

    architecture: nn.Module
    stack: Stack

    def __len__(self) -> int:
        return len(next(iter(self.stack.values())))

    def select(self, members: Sequence[int]) -> Members:
        """Some of the members."""
        index = torch.as_tensor(list(members))
        return Members(self.architecture, {name: value[index.to(value.device)] for name, value in self.stack.items()})

    @torch.no_grad()
    def logits(self, inputs: Inputs) -> Tensor:
        """Every member's logits of every clip: [members, N, heads, C]."""
        every = _every(self.architecture, shared=True)
        starts = range(0, max(1, len(inputs)), ROWS)
        parts = [inputs[start : start + ROWS] for start in starts]
        return torch.cat([every(self.stack, part.features, part.present, None) for part in parts], dim=1)


def train_members(
    make: Callable[[], nn.Module],
    sets: Sequence[TrainingSet],
    inputs: Inputs,
    classes: int,
    params: Params,
    observe: Callable[[int, int, Members, NDArray[np.float64]], None] | None = None,
) -> Members:
    """Train one member a training set.

    Args:
        make: an untrained member; torch's generator is seeded from the set's seed before each call.
        sets: what each member learns.
        inputs: features of all clips, resident on the device.
        classes: C.
        params: `model` and `self_train` are read.
        observe: called ten times along the way for each stack, with the place of the stack's first member, the step,
            the stack and each member's mean loss since the last time.
    """
    stacks = []
    for start in range(0, len(sets), TOGETHER):
        told = None if observe is None else partial(observe, start)
        stacks.append(_train_stack(make, sets[start : start + TOGETHER], inputs, classes, params, told))
    whole = {name: torch.cat([part.stack[name] for part in stacks]) for name in stacks[0].stack}
    return Members(stacks[0].architecture, whole)


def _train_stack(
    make: Callable[[], nn.Module],
    sets: Sequence[TrainingSet],
    inputs: Inputs,
    classes: int,
    params: Params,
    observe: Observer | None,
) -> Members:
    settings, device = params.self_train, inputs.present.device
    models = [_seeded(make, part.seed).to(device) for part in sets]
    stack, _ = stack_module_state(models)
    members = Members(models[0], stack)
    optimiser = _optimiser(stack, settings)
    average = [value.detach().clone() for value in stack.values()] if settings.ema else []
    batches = Batches(sets, inputs, classes, params)
    shift = torch.from_numpy(np.stack([_log_prior(part, classes, settings) for part in sets])).to(device)
    learn = _learning(models[0], stack, shift)
    window, observed = torch.zeros(len(sets), device=device), max(1, settings.steps // 10)
    for step in range(settings.steps):
        losses = learn(batches(step))
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * _half_cosine(step, settings.steps)
        optimiser.step()
        if average:
            torch._foreach_lerp_(average, [value.detach() for value in stack.values()], 1 - settings.ema)
        window += losses
        if observe is not None and (step + 1) % observed == 0:
            observe(step + 1, members, (window / observed).cpu().numpy())
            window.zero_()
    values = average or [value.detach() for value in stack.values()]
    return Members(models[0].requires_grad_(False), dict(zip(stack, values, strict=True)))


def _seeded(make: Callable[[], nn.Module], seed: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
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


def _log_prior(part: TrainingSet, classes: int, settings: SelfTrainParams) -> NDArray[np.float32]:
    """What logit adjustment (Menon et al. 2021, eq. 10) adds to the logits in training, [C]."""
    counts = np.bincount(part.labels, weights=part.weights, minlength=classes)
    return (settings.logit_adjustment * np.log((counts + 1) / (counts + 1).sum())).astype(np.float32)


def _learning(architecture: nn.Module, stack: Stack, shift: Tensor) -> Callable[[Batch], Tensor]:
    """What takes a batch to every member's loss [S] and leaves the gradients of their sum in the stack."""
    if isinstance(architecture, Heads):
        return HeadGradients(stack, shift)
    every = _every(architecture, shared=False)

    def learn(batch: Batch) -> Tensor:
        logits = every(stack, batch.features, batch.present, batch.keep)  # [S, B, heads, C]
        losses = _losses(logits + shift[:, None, None], batch)
        for value in stack.values():
            value.grad = None
        losses.sum().backward()
        return losses.detach()

    return learn


def _every(architecture: nn.Module, *, shared: bool) -> Callable[..., Tensor]:
    """All members' forward: of the same clips (`shared`) or of a batch each.

    `Heads` take stacked parameters as they are; `vmap` makes the others do so.
    """

    def forward(stack: Stack, features: list[Tensor], present: Tensor, keep: Tensor | None) -> Tensor:
        return functional_call(architecture, stack, (features, present, keep))

    if isinstance(architecture, Heads):
        return forward
    return vmap(forward, in_dims=(0, None, None, None) if shared else 0)


def _losses(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy of every member's batch, averaged over the heads that see something: [S]."""
    entropy = -(batch.targets[:, :, None] * logits.log_softmax(dim=-1)).sum(dim=-1)  # [S, B, heads]
    return (entropy * loss_weights(batch, logits.shape[2])).sum(dim=(1, 2))
