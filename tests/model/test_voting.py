"""Weighted soft voting."""

import pytest
import torch

from mer.model.views import presence
from mer.model.voting import vote


def test_votes_are_probabilities_not_logits():
    """Two mild heads outvote one that is sure; added logits would say the opposite."""
    logits = torch.tensor([[[9.0, 0.0], [0.0, 0.8], [0.0, 0.8]]])
    found = vote(logits.softmax(dim=-1), torch.tensor([0.2, 0.4, 0.4]), torch.ones(1, 3, dtype=torch.bool))
    by_hand = 0.2 * logits[0, 0].softmax(0) + 0.8 * logits[0, 1].softmax(0)
    torch.testing.assert_close(found[0], by_hand)
    assert found.argmax() == 1


def test_an_absent_head_has_no_vote():
    logits = torch.randn(5, 2, 3)
    present = torch.tensor([[True, False]] * 5)
    found = vote(logits.softmax(dim=-1), torch.tensor([0.3, 0.7]), present)
    torch.testing.assert_close(found, logits[:, 0].softmax(dim=-1))


@pytest.mark.parametrize("weights", [[0.0, 1.0], [0.5, 0.5]])
def test_it_stays_a_distribution_when_nothing_is_there(weights):
    nothing = torch.zeros(4, 2, dtype=torch.bool)
    found = vote(torch.randn(4, 2, 3).softmax(dim=-1), torch.tensor(weights), nothing)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(4))


def test_the_last_head_sees_any_modality():
    present = torch.tensor([[True, False], [False, False]])
    assert presence(present, [[0], [1], [0, 1]]).tolist() == [[True, False, True], [False, False, False]]
    assert presence(present, [[0, 1]]).tolist() == [[True], [False]]
