"""Standardising: columns, groups, principal components, and what is not a number."""

import numpy as np
import pytest

from mer.learning import standardise
from mer.learning.standardise import fit_standardiser, standardiser_tensors, standardisers_from


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(3, 5, size=(200, 12)).astype(np.float32)


ALL = np.ones(200, bool)


def test_present_clips_have_zero_mean_and_unit_variance(x):
    present = np.arange(200) % 3 > 0
    x[~present] = 1e6
    z = fit_standardiser(x, present, components=0)(x, present)
    np.testing.assert_allclose(z[present].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z[present].std(axis=0), 1, atol=1e-4)
    assert (z[~present] == 0).all()


def test_the_chunks_do_not_matter(x, monkeypatch):
    whole = fit_standardiser(x, ALL, components=4)(x, ALL)
    monkeypatch.setattr(standardise, "ROWS", 7)
    np.testing.assert_allclose(fit_standardiser(x, ALL, components=4)(x, ALL), whole, atol=1e-3)


def test_constant_and_missing_numbers_become_zero(x):
    x[:, 0], x[:, 1], x[::2, 2] = 7, np.nan, np.nan
    z = fit_standardiser(x, ALL, components=0)(x, ALL)
    assert (z[:, :2] == 0).all()
    assert (z[::2, 2] == 0).all()
    assert z[1::2, 2].std() == pytest.approx(1, abs=0.1)


def test_components_are_the_principal_ones(x):
    x[:, 5] = x[:, 4] + x[:, 5] / 100
    plain = fit_standardiser(x, ALL, components=0)(x, ALL)
    z = fit_standardiser(x, ALL, components=3)(x, ALL)
    variances = np.linalg.svd(plain, compute_uv=False)[:3] ** 2
    np.testing.assert_allclose((z**2).sum(axis=0), variances / variances.mean() * 200, rtol=1e-3)


def test_whitened_components_have_the_same_variance(x):
    x[:, 5] = x[:, 4] + x[:, 5] / 100
    z = fit_standardiser(x, ALL, components=3, whiten=True)(x, ALL)
    np.testing.assert_allclose((z**2).mean(axis=0), 1, rtol=1e-3)


@pytest.mark.parametrize(("width", "components"), [(5, 0), (60, 8), (400, 16)])
@pytest.mark.parametrize("grouped", [False, True])
def test_noise_weighs_the_same_in_every_modality(width, components, grouped):
    """The mean variance of the columns is one, however many there were and however they correlate."""
    rng = np.random.default_rng(width)
    x = (rng.normal(size=(300, 6)) @ rng.normal(size=(6, width)) + rng.normal(size=(300, width))).astype(np.float32)
    x[:, 0] = 1.0
    groups = np.arange(300) % 7 if grouped else None
    present = np.arange(300) % 5 > 0
    z = fit_standardiser(x, present, components, groups)(x, present, groups)[present]
    varying = z.std(axis=0) > 0
    assert (z[:, varying] ** 2).mean() == pytest.approx(1, rel=1e-3)


def test_within_groups_the_group_no_longer_shows():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 100)
    x = (rng.normal(size=(200, 5)) * np.where(groups, 4, 1)[:, None] + 10 * groups[:, None]).astype(np.float32)
    fitted = fit_standardiser(x, ALL, components=0, groups=groups)
    z = fitted(x, ALL, groups)
    for group in (0, 1):
        assert abs(z[groups == group].mean()) < 0.2
        assert z[groups == group].std() == pytest.approx(1, abs=0.15)
    unknown = fitted(x, ALL, np.full(200, -1))
    np.testing.assert_allclose(unknown, fitted(x, ALL), atol=1e-6)


def test_guessed_groups_keep_the_statistics_of_training(x):
    groups = np.repeat([0, 1], 100)
    x[100:] += 20
    fitted = fit_standardiser(x, ALL, components=0, groups=groups, guessed=True)
    whole = fitted(x, ALL, groups)
    np.testing.assert_allclose(fitted(x[:1], ALL[:1], groups[:1]), whole[:1], atol=1e-5)
    assert abs(whole[100:].mean()) < 0.2


def test_no_clip_present_is_no_fault(x):
    nothing = np.zeros(200, bool)
    assert (fit_standardiser(x, nothing, components=3)(x, nothing) == 0).all()


def test_tensors_hold_it_all(x):
    fitted = {"audio": fit_standardiser(x, ALL, components=3), "text": fit_standardiser(x, ALL, components=0)}
    again = standardisers_from(standardiser_tensors(fitted), ("audio", "text"))
    for name in fitted:
        np.testing.assert_array_equal(again[name](x, ALL), fitted[name](x, ALL))
