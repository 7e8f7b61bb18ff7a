"""A learned weighting of blocks: the formula, members side by side, and what it is at the start."""

import torch
from torch.func import functional_call

from mer.model.blocks import RATE, BlockWeights
from mer.model.encoder import ModalityEncoder
from mer.model.mrccl import LinearHeads
from mer.model.views import Views

VIEWS = Views({"whisper": 12, "egemaps": 5}, {"whisper": "audio", "egemaps": "audio"}, blocks={"whisper": 3})


def test_the_sum_is_that_of_the_formula():
    weights, x = BlockWeights(3), torch.randn(4, 15)
    torch.nn.init.normal_(weights.logits, std=1 / RATE)
    shares = (RATE * weights.logits[0]).exp() / (RATE * weights.logits[0]).exp().sum()
    expected = sum(share * x[:, 5 * block : 5 * block + 5] for block, share in enumerate(shares))
    torch.testing.assert_close(weights(x), expected)


def test_blocks_start_alike():
    x = torch.randn(4, 15)
    torch.testing.assert_close(BlockWeights(3)(x), x.reshape(4, 3, 5).mean(dim=1))


def test_members_weight_the_same_clips_each_in_its_way():
    heads, x = LinearHeads(VIEWS, 2), [torch.randn(6, 12), torch.randn(6, 5)]
    stack = {name: torch.randn(3, *value.shape) for name, value in heads.state_dict().items()}
    together = functional_call(heads, stack, (x, torch.ones(6, 2, dtype=torch.bool)))
    assert together.shape == (3, 6, 3, 2)  # each view and the modality
    for member in range(3):
        own = {name: value[member] for name, value in stack.items()}
        alone = functional_call(heads, own, (x, torch.ones(6, 2, dtype=torch.bool)))
        torch.testing.assert_close(together[member], alone)


def test_a_view_of_one_block_has_no_weights():
    plain = Views({"whisper": 12}, {"whisper": "audio"})
    assert [name for name, _ in LinearHeads(plain, 2).named_parameters()] == ["weights.0", "biases.0"]
    assert isinstance(ModalityEncoder([12], 8, 1, 2).project[0], torch.nn.Linear)


def test_an_encoder_learns_its_weights():
    encoder = ModalityEncoder([12, 5], 8, 1, 2, mixed={0: 3})
    encoder([torch.randn(4, 12), torch.randn(4, 5)]).square().sum().backward()
    assert (encoder.project[0][0].logits.grad.abs() > 0).all()
    assert encoder.project[0][1].in_features == 4
