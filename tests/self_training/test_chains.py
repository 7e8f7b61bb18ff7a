"""Cross-fitting by excluded sets."""

import numpy as np
import pytest
from synthetic import make_features

from mer.self_training.chains import BUNDLE, cross_fitting


@pytest.fixture
def fit():
    return cross_fitting(make_features(folds=5)[0])


def test_chains_are_sets_trained_once(fit):
    chains = fit.chains(2)
    assert chains[0] == BUNDLE
    assert len(chains) == len(set(chains)) == 1 + 5 + 10
    assert (0, 1) in chains
    assert (1, 0) not in chains


def test_every_chain_has_a_fold_to_learn_from(fit):
    assert max(map(len, fit.chains(99))) == 4
    assert all(fit.learned(chain).any() for chain in fit.chains(99))


def test_who_decides_never_saw_the_clips_they_decide_by(fit):
    for chain in fit.chains(3):
        places = [places for _, places in fit.deciding(chain)]
        for one, own in fit.deciding(chain):
            assert set(chain) < set(one)
            assert not fit.learned(one)[own].any()
        covered = np.sort(np.concatenate(places))
        np.testing.assert_array_equal(covered, np.flatnonzero(fit.learned(chain)))


def test_no_one_decides_for_a_chain_with_one_fold_left(fit):
    assert fit.deciding((0, 1, 2, 3)) == []
