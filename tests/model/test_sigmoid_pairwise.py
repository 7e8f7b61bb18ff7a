"""The pairwise sigmoid loss against a loop over its formula."""

import math

import pytest
import torch

from mer.model.sigmoid_pairwise import sigmoid_pairwise


def literal(a, b, temperature, bias, present):
    clips = [i for i in range(len(a)) if present[i]]
    total = 0.0
    for i in clips:
        for j in clips:
            logit = float(a[i] @ b[j] / (a[i].norm() * b[j].norm())) / temperature + bias
            total += math.log(1 + math.exp(-logit if i == j else logit))
    return total / len(clips)


@pytest.mark.parametrize("clips", [3, 6])
@pytest.mark.parametrize(("temperature", "bias"), [(0.1, -10.0), (1.0, 0.0), (0.5, 2.0)])
@pytest.mark.parametrize("absent", [[], [1]])
def test_equals_the_formula(clips, temperature, bias, absent):
    torch.manual_seed(clips)
    a, b = torch.randn(2, clips, 3, dtype=torch.float64)
    present = torch.tensor([i not in absent for i in range(clips)])
    found = sigmoid_pairwise(a, b, torch.tensor(temperature).double().log(), torch.tensor(bias).double(), present)
    assert float(found) == pytest.approx(literal(a, b, temperature, bias, present), rel=1e-6)


def test_one_clip_alone_has_no_loss():
    present = torch.tensor([True, False])
    assert sigmoid_pairwise(torch.randn(2, 4), torch.randn(2, 4), torch.tensor(0.0), torch.tensor(0.0), present) == 0
