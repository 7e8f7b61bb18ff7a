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

from mer.model.voting import head_presence
from mer.params import Params, SelfTrainParams
from mer.training.inputs import Inputs
from mer.training.sampling import batch_order, repeats

TOGETHER = 32
"""Members in one stack at most: it bounds the memory, and no result depends on it."""

ROWS = 4096
"""Clips judged at once."""

Stack = dict[str, Tensor]
Observer = Callable[[int, int, "Members", NDArray[np.float64]], None]


@dataclass(frozen=True)
class TrainingSet:
    """What one member learns: `rows` int64 [n] of the inputs, `targets` float32 [n, C], `weights` float32 [n]."""

    rows: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    seed: tuple[int, ...]


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
        self.architecture.eval()

        def one(stack: Stack, features: list[Tensor], present: Tensor) -> Tensor:
            return functional_call(self.architecture, stack, (features, present))

        every = vmap(one, in_dims=(0, None, None))
        parts = [inputs[start : start + ROWS] for start in range(0, len(inputs), ROWS)]
        return torch.cat([every(self.stack, part.features, part.present) for part in parts], dim=1)


def train_members(
    make: Callable[[], nn.Module],
    sets: Sequence[TrainingSet],
    inputs: Inputs,
    params: Params,
    observe: Observer | None = None,
) -> Members:
    """Train one member a training set.

    Args:
        make: an untrained member; torch's generator is seeded from the set's seed before each call.
        sets: what each member learns.
        inputs: features of all clips, resident on the device.
        params: `model` and `self_train` are read.
        observe: called ten times along the way for each stack, with the place of the stack's first member, the step,
            the stack and each member's mean loss since the last time.
    """
    stacks = []
    for start in range(0, len(sets), TOGETHER):
        told = None if observe is None else partial(observe, start)
        stacks.append(_train_stack(make, sets[start : start + TOGETHER], inputs, params, told))
    whole = {name: torch.cat([part.stack[name] for part in stacks]) for name in stacks[0].stack}
    return Members(stacks[0].architecture, whole)


def _train_stack(
    make: Callable[[], nn.Module],
    sets: Sequence[TrainingSet],
    inputs: Inputs,
    params: Params,
    observe: Callable[[int, Members, NDArray[np.float64]], None] | None,
) -> Members:
    settings, device = params.self_train, inputs.present.device
    models = []
    for part in sets:
        torch.manual_seed(int(np.random.SeedSequence(part.seed).generate_state(1)[0]))
        models.append(make().to(device))
    stack, _ = stack_module_state(models)
    architecture = models[0]
    members = Members(architecture, stack)
    optimiser = _optimiser(stack, settings)
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / settings.steps)
    )
    batches = _Batches(sets, inputs, params)
    loss_of = vmap(_make_loss(architecture))
    window, observed = np.zeros(len(sets)), max(1, settings.steps // 10)
    for step in range(settings.steps):
        architecture.train()
        losses = loss_of(stack, *batches(step))  # [members]
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        falling.step()
        window += losses.detach().cpu().numpy()
        if observe is not None and (step + 1) % observed == 0:
            observe(step + 1, members, window / observed)
            window[:] = 0
    return Members(architecture, {name: value.detach() for name, value in stack.items()})


def _optimiser(stack: Stack, settings: SelfTrainParams) -> torch.optim.Optimizer:
    encoders = [value for name, value in stack.items() if name.startswith("encoders.")]
    others = [value for name, value in stack.items() if not name.startswith("encoders.")]
    for value in encoders:
        value.requires_grad_(settings.encoder_learning_rate > 0)
    groups = [{"params": others, "lr": settings.learning_rate}]
    if encoders and settings.encoder_learning_rate > 0:
        groups.append({"params": encoders, "lr": settings.encoder_learning_rate})
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def _make_loss(architecture: nn.Module) -> Callable[..., Tensor]:
    def loss(
        stack: Stack, features: list[Tensor], present: Tensor, target: Tensor, weight: Tensor, keep: Tensor
    ) -> Tensor:
        """Weighted cross-entropy of one member's batch, averaged over the heads that see something."""
        logits = functional_call(architecture, stack, (features, present, keep))  # [B, heads, C]
        entropy = -(target[:, None] * logits.log_softmax(dim=-1)).sum(dim=-1)  # [B, heads]
        heard = head_presence(present, logits.shape[1]).to(entropy)
        per_clip = (entropy * heard).sum(dim=1) / heard.sum(dim=1).clamp(min=1)
        return (per_clip * weight).mean()

    return loss


class _Batches:
    """Batches of all members at once, each drawn from the member's own generator."""

    def __init__(self, sets: Sequence[TrainingSet], inputs: Inputs, params: Params) -> None:
        settings, device = params.self_train, inputs.present.device
        self.inputs = inputs
        self.size = settings.batch_size
        self.dropout = params.model.dropout
        self.shape = (self.size, inputs.present.shape[1], params.model.width)
        self.generators = [np.random.default_rng(part.seed) for part in sets]
        rows, targets, weights = [], [], []
        for part, generator in zip(sets, self.generators, strict=True):
            times = repeats(part.targets.argmax(axis=1), settings.oversampling)
            order = batch_order(times, settings.steps * self.size, generator)
            rows.append(part.rows[order])
            targets.append(part.targets[order])
            weights.append(part.weights[order])
        shape = (len(sets), settings.steps, self.size)
        self.rows = torch.from_numpy(np.stack(rows)).reshape(shape).to(device)
        self.targets = torch.from_numpy(np.stack(targets)).reshape(*shape, -1).to(device)
        self.weights = torch.from_numpy(np.stack(weights)).reshape(shape).to(device)

    def __call__(self, step: int) -> tuple[list[Tensor], Tensor, Tensor, Tensor, Tensor]:
        """Features [members, B, D] a modality, present [members, B, M], targets, weights, dropout's factors."""
        batch = self.inputs.take(self.rows[:, step])
        draws = np.stack([generator.random(self.shape, dtype=np.float32) for generator in self.generators])
        keep = torch.from_numpy(draws >= self.dropout).to(batch.present.device) / (1 - self.dropout)
        return batch.features, batch.present, self.targets[:, step], self.weights[:, step], keep
