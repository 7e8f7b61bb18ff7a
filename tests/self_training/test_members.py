"""Members trained together are what they would be alone."""

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params
from torch.nn import functional as F  # noqa: N812

from mer.learning.inputs import encode
from mer.pretraining.pretrain import pretrain
from mer.self_training import members as module
from mer.self_training.batches import Batches, LearningSet, Targets
from mer.self_training.classifier import make_classifier
from mer.self_training.members import member_losses, train_members

HEADS = [[0], [1], [2], [0, 1, 2]]


def prepare(family="mrccl", *, frozen=False, **self_train):
    features, _ = make_features(absent=0.2)
    params = small_params(self_train={"steps": 8, "learning_rate": 1e-2} | self_train)
    pretrained = pretrain(features, small_params(pretrain={"epochs": 1}))
    clips = (features.features, features.present, features.groups)
    inputs = pretrained.standardisations[0].inputs(*clips, torch.device("cpu"))
    own = None if frozen else pretrained.encoders
    if frozen:
        inputs = encode(pretrained.encoders, inputs)
    rows, others = np.flatnonzero(features.labels >= 0), np.flatnonzero(features.split == "unlabeled")
    soft = np.random.default_rng(0).dirichlet([1, 1, 1], len(others)).astype(np.float32)
    targets = Targets(others, soft, np.ones(len(others), np.float32), hard=False)
    sets = [
        LearningSet(
            rows[: 20 + 10 * i], features.labels[rows[: 20 + 10 * i]], targets if i else None, 0, ("x", i), i % 2
        )
        for i in range(3)
    ]

    def make():
        return make_classifier(family, params, pretrained.standardisations[0].views, len(CLASSES), own)

    return make, sets, [inputs], len(CLASSES), params


@pytest.mark.parametrize(
    ("family", "frozen"),
    [(name, False) for name in ("mrccl", "linear", "attention", "tfn", "lmf", "mult")] + [("mrccl", True)],
)
def test_together_as_alone(family, frozen):
    make, sets, sources, classes, params = prepare(family, frozen=frozen, encoder_learning_rate=1e-3)
    together = train_members(make, sets, sources, classes, params).logits(sources[0])
    for place, one in enumerate(sets):
        alone = train_members(make, [one], sources, classes, params).logits(sources[0])
        torch.testing.assert_close(together[place], alone[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_the_stacks_nor_the_threads_matter(monkeypatch, threads):
    make, sets, sources, classes, params = prepare()
    monkeypatch.setattr(module, "TOGETHER", 1)
    whole = train_members(make, sets, sources, classes, params).logits(sources[0])
    params = params.model_copy(update={"model": params.model.model_copy(update={"threads": threads})})
    assert torch.equal(train_members(make, sets, sources, classes, params).logits(sources[0]), whole)


def test_as_a_plain_loop_over_one_model():
    """The stacked, vmapped training against a model, an optimiser and a loss as anyone would write them."""
    make, sets, sources, classes, params = prepare(encoder_learning_rate=1e-3)
    found = train_members(make, sets[1:2], sources, classes, params).logits(sources[0])[0]
    model = module._seeded(make, params.self_train.seed, sets[1])
    own = {"lr": params.self_train.learning_rate, "params": [*model.heads.parameters(), *model.direct.parameters()]}
    encoders = {"lr": 1e-3, "params": model.encoders.parameters()}
    optimiser = torch.optim.AdamW([own, encoders], weight_decay=params.self_train.weight_decay)
    fall = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: module._half_cosine(i, params.self_train.steps))
    batches = Batches(sets[1:2], sources, classes, params)
    for step in range(params.self_train.steps):
        batch = batches(step)
        logits = model([x[0] for x in batch.features], batch.present[0], batch.keep[0])
        targets, present = batch.targets[0], batch.present[0]
        loss = 0
        for clip in range(len(targets)):
            heads = [m for m in range(3) if present[clip, m]] + ([3] if present[clip].any() else [])
            losses = [F.cross_entropy(logits[clip, head], targets[clip]) for head in heads]
            loss = loss + (sum(losses) / len(losses) if losses else 0)
        optimiser.zero_grad()
        (loss / len(targets)).backward()
        optimiser.step()
        fall.step()
    torch.testing.assert_close(model.eval()(sources[0].features, sources[0].present), found, rtol=1e-3, atol=1e-3)


def test_a_clip_weighs_what_its_target_weighs():
    _, sets, sources, classes, params = prepare()
    batch = Batches(sets[:1], sources, classes, params)(0)
    logits = torch.randn(1, 16, 4, 3, generator=torch.Generator().manual_seed(0))
    whole = member_losses(logits, batch, HEADS)
    batch.weights[:, 8:] = 0
    half = member_losses(logits, batch, HEADS)
    batch.weights[:, :8], batch.weights[:, 8:] = 0, 1
    torch.testing.assert_close(half + member_losses(logits, batch, HEADS), whole)


def test_logit_adjustment_favours_rare_classes():
    make, sets, sources, classes, params = prepare(oversampling=0, logit_adjustment=0)
    kept = (sets[2].labels != 0) | (np.cumsum(sets[2].labels == 0) <= 2)
    few = LearningSet(sets[2].rows[kept], sets[2].labels[kept], None, 0, ("x",), 0)
    plain = train_members(make, [few], sources, classes, params).logits(sources[0])
    adjusted = params.model_copy(update={"self_train": params.self_train.model_copy(update={"logit_adjustment": 1.0})})
    found = train_members(make, [few], sources, classes, adjusted).logits(sources[0])
    assert found.softmax(dim=-1)[..., 0].mean() > plain.softmax(dim=-1)[..., 0].mean() + 0.02
