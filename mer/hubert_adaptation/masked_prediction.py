"""HuBERT's masked prediction of hidden units (Hsu et al. 2021, 'HuBERT', sections II-A to II-C)."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import HubertModel

from mer.errors import MerError
from mer.hubert_adaptation.scores import EpochScores
from mer.hubert_adaptation.speech_batches import FrameGeometry, SpeechBatch, Utterance, speech_batches
from mer.learning.determinism import deterministic
from mer.learning.tensors import read_tensors, write_tensors
from mer.media.rate import SAMPLE_RATE as RATE


@dataclass(frozen=True)
class MaskedPrediction:
    """How to train; the defaults that have no reason to move are HuBERT-base's own."""

    units: int
    epochs: int
    learning_rate: float
    batch_seconds: float
    seed: int
    longest_seconds: float = 15.6
    mask_start: float = 0.08
    """Probability that a masked span starts at a frame."""
    mask_span: int = 10
    temperature: float = 0.1
    alpha: float = 1.0
    """Weight of the masked frames' loss; the visible frames' has the rest (equation 2)."""
    warmup: float = 0.08
    """Share of the training over which the learning rate rises; it falls linearly after."""
    weight_decay: float = 0.01
    largest_gradient: float = 1.0
    checkpoint_seconds: float = 600.0
    """Time between checkpoints; it does not change the result."""


class UnitHead(nn.Module):
    """Cosine between a projected frame and an embedding of each unit, over a temperature (equation 3).

    Embeddings start in all directions. fairseq draws them from [0, 1), where all point almost the same way: a small
    model then spends its first epochs without telling any unit from another.
    """

    def __init__(self, hidden: int, units: int, temperature: float) -> None:
        super().__init__()
        self.project = nn.Linear(hidden, hidden)
        self.embeddings = nn.Parameter(torch.empty(units, hidden).normal_())
        self.temperature = temperature

    def forward(self, frames: Tensor) -> Tensor:
        """[..., hidden] -> logits [..., units]."""
        frames = nn.functional.normalize(self.project(frames), dim=-1)
        return frames @ nn.functional.normalize(self.embeddings, dim=-1).T / self.temperature


def draw_mask(rng: np.random.Generator, shape: Sequence[int], start: float, span: int) -> Tensor:
    """Bool of `shape` [batch, frames]: spans of `span` frames begin anywhere with probability `start`, and may overlap.

    Every row has at least one span, and one frame at least stays visible where there are two.
    """
    batch, frames = shape
    starts = rng.random((batch, frames)) < start
    starts[np.arange(batch), rng.integers(max(1, frames - span + 1), size=batch)] = True
    mask = np.zeros((batch, frames + span - 1), bool)
    for offset in range(span):
        mask[:, offset : offset + frames] |= starts
    mask = mask[:, :frames]
    if frames > 1:
        mask[mask.all(axis=1), 0] = False
    return torch.from_numpy(mask)


def prediction_loss(logits: Tensor, units: Tensor, mask: Tensor, alpha: float) -> Tensor:
    """alpha times the cross-entropy of the masked frames, plus 1 - alpha times the visible ones' (equation 2).

    Takes `logits` [B, T, units], the true `units` [B, T] and a bool `mask` [B, T]. Means where the paper has sums, so
    that batches of any length weigh alike.
    """
    loss = alpha * nn.functional.cross_entropy(logits[mask], units[mask])
    if alpha < 1:
        loss = loss + (1 - alpha) * nn.functional.cross_entropy(logits[~mask], units[~mask])
    return loss


def train_masked_prediction(
    model: HubertModel,
    utterances: Callable[[], Iterable[Utterance]],
    how: MaskedPrediction,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochScores], None] | None = None,
) -> list[EpochScores]:
    """Train `model` in place; `utterances()` gives the same utterances in the same order each time.

    With `checkpoint`, progress is kept there, and a later call with the same model and settings goes on from it to the
    weights that an uninterrupted run gives. The file is left for the caller to delete.
    """
    geometry = FrameGeometry.of(model.config.conv_kernel, model.config.conv_stride)
    with deterministic(how.seed):
        head = UnitHead(model.config.hidden_size, how.units, how.temperature)
        run = _Run(model.to(device).train(), head.to(device), how, device, checkpoint)
        run.restore()
        total = sum(geometry.samples(len(u.units)) for u in utterances())
        while run.epoch < how.epochs:
            batches = speech_batches(
                utterances(),
                geometry,
                batch_samples=int(how.batch_seconds * RATE),
                longest_samples=int(how.longest_seconds * RATE),
                rng=np.random.default_rng([how.seed, run.epoch]),
            )
            scores = run.train_epoch(batches, total)
            if on_epoch is not None:
                on_epoch(scores)
    model.eval()
    return run.history


class _Run:
    """The state of a training: what a checkpoint holds, and how a batch changes it."""

    def __init__(
        self, model: HubertModel, head: UnitHead, how: MaskedPrediction, device: torch.device, checkpoint: Path | None
    ) -> None:
        self.model, self.head = model, head
        self.parts = nn.ModuleDict({"model": model, "head": head})
        self.how, self.device, self.checkpoint = how, device, checkpoint
        self.optimizer = torch.optim.AdamW(
            self.parts.parameters(),
            how.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-6,
            weight_decay=how.weight_decay,
            fused=True,
        )
        self.history: list[EpochScores] = []
        self.batch = self.seen = 0
        self.sums = torch.zeros(2 + how.units, dtype=torch.float64)  # loss, correct, frames of each unit
        self.saved_at = time.monotonic()

    @property
    def epoch(self) -> int:
        return len(self.history)

    def train_epoch(self, batches: Iterable[SpeechBatch], total: int) -> EpochScores:
        """Train on the batches of this epoch that are not done yet; `total` is the samples of an epoch."""
        for index, batch in enumerate(batches):
            if index < self.batch:
                continue
            progress = (self.epoch + min(self.seen / total, 1.0)) / self.how.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = self.how.learning_rate * _schedule(progress, self.how.warmup)
            self.sums += self._step(batch)
            self.batch, self.seen = index + 1, self.seen + batch.waveforms.numel()
            if time.monotonic() - self.saved_at > self.how.checkpoint_seconds:
                self.save()
        masked = float(self.sums[2:].sum())
        loss, correct = self.sums[:2].tolist()
        if not math.isfinite(loss):
            raise MerError(f"adapt_audio: the loss is {loss} in epoch {self.epoch}; lower 'adapt_audio.learning_rate'")
        scores = EpochScores(self.epoch, loss / masked, correct / masked, float(self.sums[2:].max()) / masked)
        self.history.append(scores)
        self.batch = self.seen = 0
        self.sums.zero_()
        self.save()
        return scores

    def _step(self, batch: SpeechBatch) -> Tensor:
        """One optimiser step; sums over the masked frames: loss, correct, and frames of each unit."""
        how = self.how
        # Each batch has random streams of its own: resumed and uninterrupted runs draw the same.
        rng = np.random.default_rng([how.seed, self.epoch, self.batch, 1])
        torch.manual_seed(int(rng.integers(2**63)))
        mask = draw_mask(rng, batch.units.shape, how.mask_start, how.mask_span).to(self.device)
        target = batch.units.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            frames = self.model(batch.waveforms.to(self.device), mask_time_indices=mask).last_hidden_state
        logits = self.head(frames.float())
        loss = prediction_loss(logits, target, mask, how.alpha)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), how.largest_gradient)
        self.optimizer.step()
        with torch.no_grad():
            logits, target = logits[mask], target[mask]
            surprise = nn.functional.cross_entropy(logits, target, reduction="sum")
            correct = (logits.argmax(-1) == target).sum()
        units = torch.bincount(target.cpu(), minlength=how.units)
        return torch.cat([torch.stack([surprise.cpu(), correct.cpu()]), units]).double()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.checkpoint is None:
            return
        tensors = dict(self.parts.state_dict()) | {"sums": self.sums}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        write_tensors(
            self.checkpoint,
            tensors,
            self._about()
            | {
                "history": [asdict(scores) for scores in self.history],
                "batch": self.batch,
                "seen": self.seen,
            },
        )
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one of this training."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        tensors, about = read_tensors(self.checkpoint)
        if {key: about.get(key) for key in self._about()} != self._about():
            return
        self.sums = tensors.pop("sums")
        state: dict[int, dict[str, Tensor]] = {}
        for key in [key for key in tensors if key.startswith("optimizer.")]:
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = tensors.pop(key)
        self.parts.load_state_dict(tensors)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.history = [EpochScores(**scores) for scores in about["history"]]
        self.batch, self.seen = about["batch"], about["seen"]

    def _about(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be of this training, as JSON gives it back."""
        about = {"settings": asdict(self.how), "model": self.model.config.to_dict()}
        return dict(json.loads(json.dumps(about)))


def _schedule(progress: float, warmup: float) -> float:
    """Learning rate over its peak: up linearly over `warmup`, then down to zero."""
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)
