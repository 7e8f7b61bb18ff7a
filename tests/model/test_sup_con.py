"""SupCon against a loop over its formula, with the clip as the class."""

import math

import pytest
import torch

from mer.model.nt_xent import nt_xent
from mer.model.sup_con import sup_con


def literal(views, temperature, present):
    vectors = [
        (clip, view, views[view, clip] / views[view, clip].norm())
        for view in range(views.shape[0])
        for clip in range(views.shape[1])
        if present[view, clip]
    ]
    losses = []
    for clip, view, anchor in vectors:
        others = [(c, math.exp(float(anchor @ v) / temperature)) for c, w, v in vectors if (c, w) != (clip, view)]
        positives = [score for c, score in others if c == clip]
        if positives:
            total = sum(score for _, score in others)
            losses.append(-sum(math.log(score / total) for score in positives) / len(positives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("views", [2, 3, 6])
@pytest.mark.parametrize("clips", [2, 5])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("all_present", [True, False])
def test_equals_the_formula(views, clips, temperature, all_present):
    torch.manual_seed(views)
    x = torch.randn(views, clips, 4, dtype=torch.float64)
    present = torch.ones(views, clips, dtype=torch.bool)
    if not all_present and views > 2:
        present[0, 0] = False
    found = sup_con(x, torch.tensor(temperature).double().log(), present)
    assert float(found) == pytest.approx(literal(x, temperature, present), rel=1e-6)


def test_with_two_views_it_is_nt_xent():
    torch.manual_seed(0)
    a, b = torch.randn(2, 7, 3)
    log_temperature = torch.tensor(-1.0)
    views, present = torch.stack([a, b]), torch.ones(2, 7, dtype=torch.bool)
    torch.testing.assert_close(sup_con(views, log_temperature, present), nt_xent(a, b, log_temperature))


def test_one_clip_alone_has_no_loss():
    present = torch.tensor([[True, False], [True, False], [True, False]])
    assert sup_con(torch.randn(3, 2, 4), torch.tensor(0.0), present) == 0
