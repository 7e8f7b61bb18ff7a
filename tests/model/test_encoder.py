"""Modality encoders."""

import pytest
import torch

from mer.model.encoder import Block, ModalityEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ModalityEncoder(features=[6], width=8, blocks=2, heads=2).eval()


def test_no_clip_attends_to_another(encoder):
    x = torch.randn(5, 6)
    torch.testing.assert_close(encoder([x])[2:3], encoder([x[2:3]]))


def test_one_frame_is_an_utterance_vector(encoder):
    x = torch.randn(4, 6)
    torch.testing.assert_close(encoder([x[:, None]]), encoder([x]))


def test_attention_over_one_frame_needs_no_scores():
    """The short cut for one frame gives what the whole formula gives."""
    torch.manual_seed(0)
    block = Block(8, 2)
    x = torch.randn(3, 1, 8)
    padded = torch.cat([x, torch.randn(3, 1, 8)], dim=1)
    mask = torch.tensor([[True, False]] * 3)
    torch.testing.assert_close(block(padded, mask)[:, :1], block(x))


def test_padding_changes_nothing(encoder):
    x = torch.randn(2, 5, 6)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    torch.testing.assert_close(encoder([x], mask)[1:], encoder([x[1:, :3]]), rtol=1e-4, atol=1e-5)


def test_another_rank_is_named(encoder):
    with pytest.raises(ValueError, match=r"found \[6\]"):
        encoder([torch.randn(6)])
