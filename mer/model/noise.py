"""Noise schedules and noisy copies of features: x_t = sqrt(a_t) x + sqrt(1 - a_t) e (Ho et al. 2020, eq. 4)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["linear", "scaled_linear", "squared_cosine", "sigmoid"]
NoiseKind = Literal["gaussian", "impulse"]

IMPULSE_SHARE = 0.1
"""Share of the features that an impulse hits."""


def alpha_bar(schedule: Schedule, steps: int, beta_start: float, beta_end: float) -> Tensor:
    """Share of the signal's variance left after step t: the running product of (1 - beta).

    `squared_cosine` (Nichol & Dhariwal 2021, eq. 17) fixes its own betas and ignores the two limits.

    Returns:
        float32 [steps], falling.
    """
    if schedule == "squared_cosine":
        time = torch.arange(steps + 1, dtype=torch.float64) / steps
        signal = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
        beta = (1 - signal[1:] / signal[:-1]).clamp(max=0.999)
    elif schedule == "scaled_linear":
        beta = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2
    elif schedule == "sigmoid":
        ramp = torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64))
        beta = beta_start + (beta_end - beta_start) * ramp
    else:
        beta = torch.linspace(beta_start, beta_end, steps, dtype=torch.float64)
    return torch.cumprod(1 - beta, dim=0).float()


def add_noise(x: Tensor, alpha: Tensor, kind: NoiseKind, generator: torch.Generator) -> Tensor:
    """A noisy copy of each row, its step t drawn per sample.

    Args:
        x: [B, D], standardised features, or [B, T, D], frames: those of a clip share e, for T noises of their own would
            average out.
        alpha: [steps], from `alpha_bar`.
        kind: `gaussian` draws e from a standard normal; `impulse` hits a tenth of the features with +-sqrt(10),
            which has the same variance.
        generator: where the steps and e come from.

    Returns:
        As `x`.
    """
    kept, noise = noise_parts((len(x), x.shape[-1]), alpha, kind, generator)
    if x.dim() == 3:
        kept, noise = kept[:, None], noise[:, None]
    return kept.to(x) * x + noise.to(x)


def noise_parts(
    shape: tuple[int, int], alpha: Tensor, kind: NoiseKind, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """sqrt(a_t) [B, 1] and sqrt(1 - a_t) e [B, D] for a batch of that shape; see `add_noise`."""
    device = generator.device
    step = torch.randint(len(alpha), (shape[0], 1), generator=generator, device=device)
    kept = alpha.to(device)[step]  # [B, 1]
    if kind == "gaussian":
        e = torch.randn(shape, generator=generator, device=device)
    else:
        draw = torch.rand(shape, generator=generator, device=device)
        sign = torch.where(draw < IMPULSE_SHARE / 2, -1.0, 1.0)
        e = torch.where(draw < IMPULSE_SHARE, sign, 0.0) / math.sqrt(IMPULSE_SHARE)
    return kept.sqrt(), (1 - kept).sqrt() * e
