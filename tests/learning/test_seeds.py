"""Random streams by name."""

import numpy as np
import pytest

from mer.learning.seeds import stream, stream_seed


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 1), (0, 1, 0)), ((0,), (0, 0)), ((0, "a", "b"), (0, "ab")), ((1, 2), (12,)), ((0, "1"), (0, 1))],
)
def test_every_part_of_a_name_counts(one, other):
    assert stream_seed(*one) != stream_seed(*other)
    assert not np.array_equal(stream(*one).random(4), stream(*other).random(4))


def test_a_name_is_a_stream():
    np.testing.assert_array_equal(stream(3, "x", 1).random(5), stream(3, "x", 1).random(5))
