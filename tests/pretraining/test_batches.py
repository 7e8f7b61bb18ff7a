"""Which clips are contrasted with each other."""

import numpy as np
import pytest

from mer.pretraining.batches import make_batches


@pytest.mark.parametrize("groups", [None, np.arange(100) % 3, np.where(np.arange(100) < 90, np.arange(100) % 2, -1)])
def test_an_epoch_shows_every_clip_once(groups):
    rows = np.arange(5, 95)
    found = make_batches(rows, groups, 16, np.random.default_rng(0))
    assert sorted(np.concatenate(found)) == rows.tolist()
    assert max(map(len, found)) <= 16


def test_a_batch_holds_one_speaker():
    groups = np.repeat([0, 1, 2, 3, -1], [40, 30, 2, 3, 5])
    found = make_batches(np.arange(80), groups, 16, np.random.default_rng(0))
    kinds = [set(groups[batch]) for batch in found]
    assert all(kind in ({0}, {1}) or kind <= {2, 3, -1} for kind in kinds)
