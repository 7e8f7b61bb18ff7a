import pytest
import torch
from torch.func import stack_module_state

from mer.model.mrccl import Heads
from mer.training import members
from mer.training.batches import Batch
from mer.training.head_gradients import HeadGradients

MEMBERS, SIZE, WIDTH, CLASSES = 3, 7, 5, 4


def a_batch(modalities):
    present = torch.rand(MEMBERS, SIZE, modalities) < 0.7
    features = [torch.randn(MEMBERS, SIZE, WIDTH) * present[..., m, None] for m in range(modalities)]
    targets = torch.rand(MEMBERS, SIZE, CLASSES).softmax(dim=-1)  # as mixup makes them
    keep = (torch.rand(MEMBERS, SIZE, modalities, WIDTH) > 0.3) / 0.7
    return Batch(features, present, targets, torch.rand(MEMBERS, SIZE), keep)


@pytest.mark.parametrize("names", [("audio",), ("audio", "text"), ("audio", "face", "text")])
def test_losses_and_gradients_are_autograds(names):
    torch.manual_seed(0)
    stack, _ = stack_module_state([Heads(names, CLASSES, WIDTH) for _ in range(MEMBERS)])
    with torch.no_grad():
        for value in stack.values():
            value += 0.3 * torch.randn_like(value)
    shift = torch.randn(MEMBERS, CLASSES)
    written_out, batches = HeadGradients(stack, shift), [a_batch(len(names)) for _ in range(2)]
    for batch in batches:  # a second batch overwrites what the first one left
        losses = written_out(batch)
    found = {name: value.grad for name, value in stack.items()}
    every = members._every(Heads(names, CLASSES, WIDTH), shared=False)
    logits = every(stack, batches[1].features, batches[1].present, batches[1].keep) + shift[:, None, None]
    expected = members._losses(logits, batches[1])
    torch.testing.assert_close(losses, expected.detach())
    gradients = torch.autograd.grad(expected.sum(), list(stack.values()))
    for name, gradient in zip(stack, gradients, strict=True):
        torch.testing.assert_close(found[name], gradient, msg=name)
