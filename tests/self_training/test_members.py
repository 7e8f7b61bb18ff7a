"""Members trained together are what they would be alone."""

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params
from torch.nn import functional as F  # noqa: N812

from mer.learning.inputs import Frontend
from mer.pretraining.pretrain import pretrain
from mer.self_training.batches import Batches, TrainingSet
from mer.self_training.classifier import make_classifier
from mer.self_training.members import train_members
from mer.training import members as module


def prepare(kind="mrccl", *, frozen=False, **self_train):
    features, _ = make_features(absent=0.2)
    self_train = {"steps": 8, "learning_rate": 1e-2} | self_train
    params = small_params(model={"kind": kind}, pretrain={"epochs": 0}, self_train=self_train)
    pretrained = pretrain(features, params)
    frontend = Frontend(pretrained.standardisers, pretrained.encoders if frozen else None)
    inputs = frontend(features.features, features.present, None, torch.device("cpu"))
    rows = np.flatnonzero(features.labels >= 0)
    sets = []
    for seed in range(3):
        own = rows[: 20 + 10 * seed]
        ones = np.ones(len(own), np.float32)
        sets.append(TrainingSet(own, features.labels[own], ones, np.zeros(len(own), bool), (0, seed)))

    def make():
        own = None if frozen else pretrained.encoders
        return make_classifier(params.model, frontend.widths, len(CLASSES), own, direct=params.self_train.direct)

    return make, sets, inputs, len(CLASSES), params


@pytest.mark.parametrize("kind", ["mrccl", "logistic", "attention", "tfn", "lmf", "mult"])
def test_together_as_alone(kind):
    make, sets, inputs, classes, params = prepare(kind, encoder_learning_rate=1e-3, ema=0.9)
    together = train_members(make, sets, inputs, classes, params).logits(inputs)
    for place, one in enumerate(sets):
        alone = train_members(make, [one], inputs, classes, params).logits(inputs)
        torch.testing.assert_close(together[place], alone[0], rtol=1e-3, atol=1e-4)


def test_heads_on_frozen_encodings_together_as_alone():
    make, sets, inputs, classes, params = prepare(frozen=True, mixup=0.5, modality_dropout=0.3)
    together = train_members(make, sets, inputs, classes, params).logits(inputs)
    for place, one in enumerate(sets):
        alone = train_members(make, [one], inputs, classes, params).logits(inputs)
        torch.testing.assert_close(together[place], alone[0], rtol=1e-3, atol=1e-4)


def test_as_a_plain_loop_over_one_model():
    """The stacked, vmapped training against a model, an optimiser and a loss as anyone would write them."""
    make, sets, inputs, classes, params = prepare(encoder_learning_rate=1e-3)
    found = train_members(make, sets[1:2], inputs, classes, params).logits(inputs)[0]
    model = module._seeded(make, sets[1].seed)
    own = {"lr": params.self_train.learning_rate, "params": [*model.heads.parameters(), *model.direct.parameters()]}
    encoders = {"lr": 1e-3, "params": model.encoders.parameters()}
    optimiser = torch.optim.AdamW([own, encoders], weight_decay=params.self_train.weight_decay)
    fall = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: module._half_cosine(i, params.self_train.steps))
    batches = Batches(sets[1:2], inputs, classes, params)
    for step in range(params.self_train.steps):
        batch = batches(step)
        logits = model([x[0] for x in batch.features], batch.present[0], batch.keep[0])
        labels, present = batch.targets[0].argmax(dim=-1), batch.present[0]
        loss = 0
        for clip in range(len(labels)):
            heads = [m for m in range(3) if present[clip, m]] + ([3] if present[clip].any() else [])
            losses = [F.cross_entropy(logits[clip, head], labels[clip]) for head in heads]
            loss = loss + (sum(losses) / len(losses) if losses else 0)
        optimiser.zero_grad()
        (loss / len(labels)).backward()
        optimiser.step()
        fall.step()
    torch.testing.assert_close(model.eval()(inputs.features, inputs.present), found, rtol=1e-3, atol=1e-3)


def test_more_members_than_one_stack_holds(monkeypatch):
    make, sets, inputs, classes, params = prepare()
    whole = train_members(make, sets, inputs, classes, params).logits(inputs)
    monkeypatch.setattr(module, "TOGETHER", 2)
    torch.testing.assert_close(train_members(make, sets, inputs, classes, params).logits(inputs), whole)


def test_logit_adjustment_favours_rare_classes():
    make, sets, inputs, classes, params = prepare(oversampling=0, logit_adjustment=0)
    rare = sets[2].labels == 0
    keep = ~rare | (np.cumsum(rare) <= 2)
    few = TrainingSet(*(x[keep] for x in (sets[2].rows, sets[2].labels, sets[2].weights, sets[2].pseudo)), (0,))
    plain = train_members(make, [few], inputs, classes, params).logits(inputs)
    adjusted = params.model_copy(update={"self_train": params.self_train.model_copy(update={"logit_adjustment": 1.0})})
    found = train_members(make, [few], inputs, classes, adjusted).logits(inputs)
    assert found.softmax(dim=-1)[..., 0].mean() > plain.softmax(dim=-1)[..., 0].mean() + 0.02
