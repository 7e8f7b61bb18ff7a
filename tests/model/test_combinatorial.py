"""The pretraining objective: which terms there are, and that absent modalities stay out of them."""

import pytest
import torch

from mer.model.combinatorial import CombinatorialContrast, retrieval_at_1
from mer.model.mrccl import Encoders
from mer.model.nt_xent import nt_xent
from mer.model.views import Views

WIDTHS = {"audio": 3, "face": 5, "text": 4}


def make(objective="nt_xent", widths=WIDTHS):
    torch.manual_seed(0)
    encoders = Encoders(Views(widths, {name: name for name in widths}), width=8, blocks=1, heads=2)
    contrast = CombinatorialContrast(tuple(widths), 8, objective, 0.5)
    features = [torch.randn(6, width) for width in widths.values()]
    noisy = [x + 0.1 * torch.randn_like(x) for x in features]
    return encoders, contrast, features, noisy, torch.ones(6, len(widths), dtype=torch.bool)


def test_six_inter_modal_and_three_noise_terms():
    _, contrast, *_ = make()
    assert contrast.inter_terms == ["A-V", "A-T", "V-T", "A-(V,T)", "V-(A,T)", "T-(A,V)"]
    assert contrast.noise_terms == ["A-noise", "V-noise", "T-noise"]
    assert contrast.log_temperature.shape == (9,)


def test_terms_are_nt_xent_of_the_named_sides():
    encoders, contrast, features, noisy, present = make()
    terms = contrast(encoders, features, noisy, present)
    h, hat, noisy_hat = (
        encoders(features, present),
        encoders.hat(features, present),
        encoders.hat(noisy, present),
    )
    tau = contrast.log_temperature
    torch.testing.assert_close(terms[1], nt_xent(h[0], h[2], tau[1]))
    rest = contrast.project[1](torch.cat([h[0], h[2]], dim=-1))
    torch.testing.assert_close(terms[4], nt_xent(h[1], rest, tau[4]))
    torch.testing.assert_close(terms[8], nt_xent(hat[2], noisy_hat[2], tau[8]))


@pytest.mark.parametrize("objective", ["nt_xent", "supcon", "sigmoid"])
def test_values_of_an_absent_modality_reach_no_term(objective):
    encoders, contrast, features, noisy, present = make(objective)
    present[0, 1] = False
    before = contrast(encoders, features, noisy, present)
    features[1][0] += 100
    noisy[1][0] -= 100
    torch.testing.assert_close(contrast(encoders, features, noisy, present), before)


@pytest.mark.parametrize("objective", ["nt_xent", "supcon", "sigmoid"])
@pytest.mark.parametrize("modalities", [["audio"], ["audio", "text"], ["audio", "face", "text"]])
def test_every_objective_trains_any_number_of_modalities(objective, modalities):
    encoders, contrast, features, noisy, present = make(objective, {name: WIDTHS[name] for name in modalities})
    terms = contrast(encoders, features, noisy, present)
    assert len(terms) == len(contrast.inter_terms) + len(contrast.noise_terms)
    terms.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoders.parameters())


def test_retrieval_counts_nearest_partners():
    key = torch.eye(4)
    assert retrieval_at_1(key, key) == 1
    assert retrieval_at_1(key[[1, 0, 2, 3]], key) == 0.5
