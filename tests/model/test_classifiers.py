"""MR-CCL's heads and the baselines: one signature, absent modalities, and the formulas they are named after."""

import pytest
import torch

from mer.model.baselines import Attention, CrossModal, Logistic, LowRankFusion, TensorFusion
from mer.model.mrccl import MRCCL, Direct, Encoders, Heads
from mer.model.views import Views

WIDTHS = {"audio": 3, "face": 5, "text": 4}
VIEWS = Views(WIDTHS, {name: name for name in WIDTHS})
CLASSES, WIDTH = 4, 8


def make(kind):
    torch.manual_seed(0)
    if kind == "mrccl":
        return MRCCL(Encoders(VIEWS, WIDTH, 1, 2), Heads(tuple(WIDTHS), CLASSES, WIDTH))
    if kind is Logistic:
        return kind(WIDTHS, CLASSES)
    return kind(WIDTHS, CLASSES, WIDTH)


KINDS = ["mrccl", Logistic, Attention, TensorFusion, LowRankFusion, CrossModal]


def randomised(kind):
    """Zero-initialised outputs hide what reaches them."""
    model = make(kind)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_gives_logits_a_head(kind):
    features, present = [torch.randn(2, w) for w in WIDTHS.values()], torch.ones(2, 3, dtype=torch.bool)
    logits = make(kind)(features, present, torch.ones(2, 3, WIDTH))
    assert logits.shape == (2, 4 if kind == "mrccl" else 1, CLASSES)


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not Logistic])
def test_an_absent_modality_does_not_matter(kind):
    """Logistic regression is given zeros instead: absent rows of the inputs are zero."""
    model = randomised(kind)
    features, present = [torch.randn(2, w) for w in WIDTHS.values()], torch.tensor([[True, False, True]] * 2)
    before = model(features, present)
    features[1] = features[1] + 5
    after = model(features, present)
    if kind == "mrccl":  # the absent head itself is not heard when votes are counted
        before, after = before[:, [0, 2, 3]], after[:, [0, 2, 3]]
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not Logistic])
def test_dropped_encodings_do_not_matter(kind):
    model = randomised(kind)
    features, present = [torch.randn(2, w) for w in WIDTHS.values()], torch.ones(2, 3, dtype=torch.bool)
    keep = torch.ones(2, 3, WIDTH)
    keep[:, 0] = 0
    dropped = model(features, present, keep)
    features[0] = features[0] + 1
    torch.testing.assert_close(model(features, present, keep), dropped)


def test_the_direct_layer_is_linear_and_starts_at_nothing():
    """A modality's own head sees its features alone, the fused head all of them."""
    torch.manual_seed(0)
    direct = Direct(VIEWS, CLASSES)
    features = [torch.randn(2, w) for w in WIDTHS.values()]
    assert not direct(features).any()
    weights = [torch.randn(2 * CLASSES, w) for w in WIDTHS.values()]
    for layer, weight in zip(direct.layers, weights, strict=True):
        layer.weight.data = weight
    single = [x @ weight[:CLASSES].T for x, weight in zip(features, weights, strict=True)]
    fused = torch.cat(features, dim=1) @ torch.cat([weight[CLASSES:] for weight in weights], dim=1).T
    torch.testing.assert_close(direct(features), torch.stack([*single, fused], dim=1))


def test_the_direct_layer_of_one_modality_has_one_head():
    assert Direct(Views({"audio": 3}, {"audio": "audio"}), CLASSES)([torch.randn(2, 3)]).shape == (2, 1, CLASSES)


def test_low_rank_fusion_is_the_full_tensor_product():
    """Equation 6 against the tensor it factorises: sum over ranks of the outer product of the factors."""
    model = randomised(LowRankFusion)
    features, present = [torch.randn(1, w) for w in WIDTHS.values()], torch.ones(1, 3, dtype=torch.bool)
    z = [torch.cat([torch.ones(1), h]) for h in model.modality(features, present, None)[0]]
    factors = [f.weight.unflatten(0, (model.rank, WIDTH)) for f in model.factors]  # [rank, W, W + 1]
    weights = torch.einsum("rwa,rwb,rwc->wabc", *factors)
    by_tensor = model.output(torch.einsum("wabc,a,b,c->w", weights, *z))
    torch.testing.assert_close(model(features, present)[0, 0], by_tensor, rtol=1e-4, atol=1e-4)
