"""NT-Xent against a literal transcription of SimCLR's algorithm 1."""

import math

import pytest
import torch

from mer.model.nt_xent import nt_xent


def literal(a, b, temperature, present):
    """Loop over every anchor and every candidate, as the formula is written."""
    clips = [i for i in range(len(a)) if present[i]]
    vectors = [(i, side, v / v.norm()) for side, x in (("a", a), ("b", b)) for i, v in enumerate(x) if i in clips]
    losses = []
    for i, side, anchor in vectors:
        others = [(j, s, v) for j, s, v in vectors if (j, s) != (i, side)]
        scores = {(j, s): math.exp(float(anchor @ v) / temperature) for j, s, v in others}
        partner = (i, "b" if side == "a" else "a")
        losses.append(-math.log(scores[partner] / sum(scores.values())))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("clips", [3, 8])
@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("absent", [[], [0]])
def test_equals_the_formula(clips, width, temperature, absent):
    torch.manual_seed(clips)
    a, b = torch.randn(2, clips, width, dtype=torch.float64)
    present = torch.tensor([i not in absent for i in range(clips)])
    found = nt_xent(a, b, torch.tensor(temperature).double().log(), present)
    assert float(found) == pytest.approx(literal(a, b, temperature, present.tolist()), rel=1e-6)


def test_identical_pairs_cost_less_than_unrelated_ones():
    """The published code has it the other way round: ln 2 for identical pairs, 0 for unrelated ones."""
    eye = torch.eye(4)
    log_temperature = torch.tensor(0.1).log()
    assert nt_xent(eye, eye, log_temperature) < 0.01 < nt_xent(eye, eye.roll(1, 0), log_temperature)


def test_absent_clips_change_nothing():
    torch.manual_seed(0)
    a, b = torch.randn(2, 6, 4)
    present = torch.tensor([True, True, False, True, True, False])
    log_temperature = torch.tensor(0.0)
    alone = nt_xent(a[present], b[present], log_temperature)
    torch.testing.assert_close(nt_xent(a, b, log_temperature, present), alone)


@pytest.mark.parametrize("present", [[False, False], [True, False]])
def test_without_negatives_it_is_zero_with_finite_gradients(present):
    a = torch.randn(2, 3, requires_grad=True)
    loss = nt_xent(a, torch.randn(2, 3), torch.tensor(0.0), torch.tensor(present))
    loss.backward()
    assert loss == 0
    assert a.grad.isfinite().all()
