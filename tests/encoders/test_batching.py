"""Windows cover every frame of a clip once; batches hold every item once, within the budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mer.encoders.batching import LEAST_FILLED, batches, runs, windows

HOP, FIELD = 320, 400


def frames(samples: int) -> int:
    return max(0, (samples - FIELD) // HOP + 1)


@given(
    samples=st.integers(FIELD, 200_000),
    window=st.integers(16_000, 48_000),
    overlap=st.integers(0, 15_999),
)
def test_every_frame_is_kept_once_and_in_order(samples, window, overlap):
    kept = []
    for part in windows(samples, window=window, overlap=overlap, hop=HOP, frames=frames):
        assert part.start % HOP == 0
        assert 0 <= part.start < part.stop <= samples
        assert part.stop - part.start <= max(window, FIELD)
        assert 0 <= part.first < part.last <= frames(part.stop - part.start)
        kept += range(part.start // HOP + part.first, part.start // HOP + part.last)
    assert kept == list(range(frames(samples)))


def test_neighbours_meet_in_the_middle_of_what_they_share():
    first, second, *_ = windows(100_000, window=32_000, overlap=16_000, hop=HOP, frames=frames)
    shared = first.start // HOP + frames(32_000) - second.start // HOP
    assert second.first == shared // 2


def test_a_clip_no_longer_than_the_window_is_left_whole():
    (only,) = windows(32_000, window=32_000, overlap=16_000, hop=HOP, frames=frames)
    assert (only.start, only.stop, only.first, only.last) == (0, 32_000, 0, frames(32_000))


@given(lengths=st.lists(st.integers(1, 100)), budget=st.integers(1, 300))
def test_batches_hold_every_item_once_within_the_budget(lengths, budget):
    groups = list(batches(lengths, budget))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest, shortest = (pick(lengths[index] for index in group) for pick in (max, min))
        assert len(group) == 1 or longest * len(group) <= budget
        assert shortest >= LEAST_FILLED * longest


def test_a_batch_holds_items_of_similar_length():
    assert list(batches([7, 10, 8, 9, 6], 20)) == [[1, 3], [2, 0], [4]]
    assert list(batches([7, 10, 8, 9, 6], 100)) == [[1, 3, 2], [0, 4]]


@given(costs=st.lists(st.integers(1, 100)), budget=st.integers(1, 300))
def test_runs_hold_every_item_once_and_in_order_within_the_budget(costs, budget):
    parts = [costs[part] for part in runs(costs, budget)]
    assert [cost for part in parts for cost in part] == costs
    for part in parts:
        assert len(part) == 1 or sum(part) <= budget


def test_a_run_is_as_long_as_the_budget_allows():
    assert list(runs([4, 4, 4, 30, 1], 9)) == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 5)]
