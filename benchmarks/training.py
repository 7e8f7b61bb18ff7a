"""How fast members train, and how much memory pretraining takes.

    python -m benchmarks.training speed [--epochs 100] [--peer-epochs 1]
    python -m benchmarks.training memory [--clips 115000]

`speed`: 5 folds on 5,030 clips with 1,024 + 768 + 5,120 synthetic features, batches of 32. The peer is the loop that
emotion recognition code is usually written as: one fold after the other, a `DataLoader` that fetches clip by clip, the
same model (`MRCCL`: encoders, then heads), the same batch size, optimiser and learning rates, on features standardised
beforehand. Its time is measured over `--peer-epochs` epochs of one fold and scaled to all folds and epochs.
`memory`: contrastive pretraining on that many clips; prints the process' largest resident size.
"""

from __future__ import annotations

import argparse
import copy
import math
import resource
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset

from mer.learning.features import FeatureSet
from mer.learning.inputs import Inputs, encode
from mer.model.mrccl import MRCCL, Heads
from mer.model.views import presence
from mer.model.voting import PUBLISHED, vote
from mer.params import Params, parse_params
from mer.pretraining.pretrain import Pretrained, pretrain
from mer.self_training.batches import LearningSet
from mer.self_training.classifier import make_classifier
from mer.self_training.members import train_members
from mer.self_training.results import weighted_f1

WIDTHS = {"audio": 1024, "face": 768, "text": 5120}
CLASSES = ("neutral", "angry", "happy", "sad", "worried", "surprise")
FOLDS = 5
BATCH = 32


def synthetic(clips: int, noise: float = 8.0) -> tuple[FeatureSet, NDArray[np.int64]]:
    """Clips whose views share the class and a few other directions, all of them labeled, and their classes."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(CLASSES), clips)
    latent = np.concatenate([np.eye(len(CLASSES))[truth], rng.normal(size=(clips, 10))], axis=1).astype(np.float32)
    features = {}
    for name, width in WIDTHS.items():
        mixing = rng.standard_normal((latent.shape[1], width), dtype=np.float32)
        features[name] = rng.standard_normal((clips, width), dtype=np.float32)
        for start in range(0, clips, 4096):  # no second copy of the widest view
            part = features[name][start : start + 4096]
            part *= noise
            part += latent[start : start + 4096] @ mixing
    made = FeatureSet(
        clip_ids=np.array([f"clip{i}" for i in range(clips)], object),
        split=np.full(clips, "labeled", object),
        labels=truth,
        groups=np.full(clips, None, object),
        folds=np.arange(clips) % FOLDS,
        classes=CLASSES,
        features=features,
        present={name: np.ones(clips, bool) for name in WIDTHS},
    )
    return made, truth


class Clips(Dataset):
    """One clip at a time, as dictionaries of tensors."""

    def __init__(self, inputs: Inputs, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self.views = [x.numpy() for x in inputs.features]
        self.labels, self.rows = labels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.rows[index]
        views = {name: torch.from_numpy(x[row]) for name, x in zip(WIDTHS, self.views, strict=True)}
        return views | {"label": torch.tensor(self.labels[row])}


def peer(
    pretrained: Pretrained, inputs: Inputs, features: FeatureSet, fold: int, epochs: int, params: Params
) -> tuple[MRCCL, float]:
    """Train one fold's model clip by clip; the model and the seconds it took."""
    torch.manual_seed(0)
    rate = params.self_train.encoder_learning_rate
    assert pretrained.encoders is not None
    model = MRCCL(copy.deepcopy(pretrained.encoders), Heads(tuple(WIDTHS), len(CLASSES), params.model.width))
    model.encoders.requires_grad_(rate > 0)
    groups = [{"params": model.heads.parameters(), "lr": params.self_train.learning_rate}]
    if rate:
        groups.append({"params": model.encoders.parameters(), "lr": rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=params.self_train.weight_decay)
    rows = np.flatnonzero(features.folds != fold)
    loader = DataLoader(Clips(inputs, features.labels, rows), batch_size=BATCH, shuffle=True)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(loader))
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            views = [batch[name] for name in WIDTHS]
            present = torch.ones(len(batch["label"]), len(WIDTHS), dtype=torch.bool)
            keep = torch.rand(len(present), len(WIDTHS), params.model.width) >= params.model.dropout
            logits = model(views, present, keep / (1 - params.model.dropout))  # [B, heads, C]
            label = batch["label"][:, None].expand(-1, logits.shape[1])
            loss = F.cross_entropy(logits.flatten(0, 1), label.flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
    return model, time.perf_counter() - start


def ours(
    pretrained: Pretrained, features: FeatureSet, epochs: int, params: Params
) -> tuple[list[NDArray[np.int64]], float]:
    """Train all folds together; each fold's predictions of its held-out clips, and the seconds, encoding included."""
    start = time.perf_counter()
    rate = params.self_train.encoder_learning_rate
    inputs = standardised(pretrained, features)
    if not rate and pretrained.encoders is not None:
        inputs = encode(pretrained.encoders, inputs)
    rows = [np.flatnonzero(features.folds != fold) for fold in range(FOLDS)]
    steps = epochs * math.ceil(len(rows[0]) / BATCH)
    settings = params.self_train.model_copy(update={"steps": steps, "direct": False})
    params = params.model_copy(update={"self_train": settings})
    sets = [LearningSet(part, features.labels[part], None, 0, (fold,), 0) for fold, part in enumerate(rows)]
    own, views = pretrained.encoders if rate else None, pretrained.standardisations[0].views
    members = train_members(
        lambda: make_classifier("mrccl", params, views, len(CLASSES), own), sets, [inputs], len(CLASSES), params
    )
    seconds = time.perf_counter() - start
    predicted = []
    for fold in range(FOLDS):
        part = inputs.take(np.flatnonzero(features.folds == fold))
        predicted.append(_predict(members.select([fold]).logits(part)[0], part.present))
    return predicted, seconds


def standardised(pretrained: Pretrained, features: FeatureSet) -> Inputs:
    """All clips, standardised over the corpus."""
    return pretrained.standardisations[0].inputs(
        features.features, features.present, features.groups, torch.device("cpu")
    )


def _predict(logits: torch.Tensor, present: torch.Tensor) -> NDArray[np.int64]:
    weights = torch.tensor(list(PUBLISHED.values()))
    voted = vote(
        logits.softmax(dim=-1),
        weights,
        presence(present, [*([m] for m in range(present.shape[1])), list(range(present.shape[1]))]),
    )
    return voted.argmax(dim=-1).numpy()


def speed(epochs: int, peer_epochs: int, encoder_rate: float, components: int) -> None:
    """Print seconds of both and their ratio, and the weighted-F1 that both reach on fold 0 in `peer_epochs`."""
    features, truth = synthetic(5030)
    params = parse_params(
        {
            "model": {"components": components, "normalise": "corpus"},
            "pretrain": {"epochs": 2},
            "self_train": {"batch_size": BATCH, "encoder_learning_rate": encoder_rate, "oversampling": 0},
        }
    )
    pretrained = pretrain(features, params)
    inputs = standardised(pretrained, features)
    held_out = features.folds == 0
    model, seconds = peer(pretrained, inputs, features, 0, peer_epochs, params)
    slow = seconds * FOLDS * epochs / peer_epochs
    with torch.no_grad():
        part = inputs.take(np.flatnonzero(held_out))
        by_peer = weighted_f1(truth[held_out], _predict(model(part.features, part.present), part.present))
    predicted, _ = ours(pretrained, features, peer_epochs, params)
    by_us = weighted_f1(truth[held_out], predicted[0])
    _, fast = ours(pretrained, features, epochs, params)
    print(f"peer, per-item loop, {FOLDS} folds x {epochs} epochs: {slow:.1f} s (scaled from {seconds:.1f} s)")
    print(f"ours, all folds together: {fast:.1f} s; {slow / fast:.1f} times as fast")
    print(f"weighted-F1 of fold 0 after {peer_epochs} epochs: peer {by_peer:.4f}, ours {by_us:.4f}")


def memory(clips: int) -> None:
    """Print the largest resident size of this process after pretraining, features included."""
    features, _ = synthetic(clips)
    start = time.perf_counter()
    pretrain(features, parse_params({"pretrain": {"epochs": 1}}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{clips} clips, one epoch: {time.perf_counter() - start:.0f} s, at most {peak:.1f} GB resident")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--peer-epochs", type=int, default=1)
    parser.add_argument("--encoder-learning-rate", type=float, default=0.0)
    parser.add_argument("--components", type=int, default=0, help="0: the features as they are")
    parser.add_argument("--clips", type=int, default=115_000)
    arguments = parser.parse_args()
    if arguments.what == "memory":
        memory(arguments.clips)
    else:
        speed(arguments.epochs, arguments.peer_epochs, arguments.encoder_learning_rate, arguments.components)


if __name__ == "__main__":
    main()
