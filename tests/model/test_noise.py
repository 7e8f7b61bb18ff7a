"""Noise schedules and noisy copies."""

import math

import pytest
import torch

from mer.model.noise import add_noise, alpha_bar


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squared_cosine", "sigmoid"])
def test_the_signal_only_fades(schedule):
    alpha = alpha_bar(schedule, 100, 0.001, 0.1)
    assert alpha.shape == (100,)
    assert 0 < alpha[-1] < alpha[0] < 1
    assert (alpha.diff() < 0).all()


def test_linear_is_the_running_product():
    alpha, product = alpha_bar("linear", 4, 0.1, 0.4), 1.0
    for step, beta in enumerate([0.1, 0.2, 0.3, 0.4]):
        product *= 1 - beta
        assert float(alpha[step]) == pytest.approx(product)


def test_scaled_linear_is_linear_in_the_root():
    alpha = alpha_bar("scaled_linear", 3, 0.01, 0.09)
    assert float(alpha[1]) == pytest.approx((1 - 0.01) * (1 - 0.04))


def test_squared_cosine_follows_its_signal():
    alpha = alpha_bar("squared_cosine", 10, 0.5, 0.5)
    signal = [math.cos((t / 10 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 5)]
    assert float(alpha[4]) == pytest.approx(signal[1] / signal[0], rel=1e-5)


def test_sigmoid_betas_stay_between_the_limits():
    alpha = alpha_bar("sigmoid", 50, 0.001, 0.1)
    beta = 1 - alpha[1:] / alpha[:-1]
    assert beta.min() >= 0.001
    assert beta.max() <= 0.1001


@pytest.mark.parametrize("kind", ["gaussian", "impulse"])
@pytest.mark.parametrize("left", [0.9, 0.2])
def test_the_mixture_keeps_unit_variance(kind, left):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 50, generator=generator)
    noisy = add_noise(x, torch.tensor([left]), kind, generator)
    assert float(noisy.var()) == pytest.approx(1, abs=0.02)
    assert float((noisy * x).mean()) == pytest.approx(left**0.5, abs=0.02)


def test_an_impulse_hits_a_tenth_of_the_features():
    noisy = add_noise(torch.zeros(1000, 50), torch.tensor([0.5]), "impulse", torch.Generator().manual_seed(0))
    assert float((noisy != 0).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_each_sample_has_a_step_of_its_own():
    noisy = add_noise(torch.ones(64, 1), torch.tensor([1.0, 0.0]), "impulse", torch.Generator().manual_seed(0))
    assert 10 < int((noisy == 1).sum()) < 54


@pytest.mark.parametrize("kind", ["gaussian", "impulse"])
def test_frames_of_a_clip_share_its_noise(kind):
    alpha, x = torch.tensor([0.9, 0.3]), torch.randn(6, 4, 5)
    noisy = add_noise(x, alpha, kind, torch.Generator().manual_seed(3))
    assert noisy.shape == x.shape
    for frame in range(4):
        alone = add_noise(x[:, frame], alpha, kind, torch.Generator().manual_seed(3))
        torch.testing.assert_close(noisy[:, frame], alone)
