"""Attention pooling over time against the formula, clip by clip; padding and absent views."""

import math

import pytest
import torch

from mer.model.encoder import AttentionPooling, Frames
from mer.model.mrccl import Encoders
from mer.model.views import Views

VIEWS = Views({"hubert": 5, "clip": 4, "text": 3}, {"hubert": "audio", "clip": "audio", "text": "text"}, {"clip": 6})


def literal(pooling, clip):
    """Lin et al., equations 6 and 7, for one clip [T, D]: plain numbers, one frame after the other."""
    tokens = []
    for weights in pooling.score.weight:
        scores = [float(weights @ torch.tanh(pooling.hidden(frame))) for frame in clip]
        shares = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        tokens.append(sum(share * pooling.project(frame) for share, frame in zip(shares, clip, strict=True)))
    return torch.stack(tokens)


def padded(clips, most):
    values, real = torch.zeros(len(clips), most, clips[0].shape[1]), torch.zeros(len(clips), most, dtype=torch.bool)
    for i, clip in enumerate(clips):
        values[i, : len(clip)], real[i, : len(clip)] = clip, True
    return Frames(values, real)


@pytest.mark.parametrize(("features", "width", "tokens"), [(3, 4, 1), (6, 8, 3), (2, 2, 5)])
def test_tokens_are_those_of_the_formula(features, width, tokens):
    torch.manual_seed(0)
    pooling = AttentionPooling(features, width, tokens)
    torch.nn.init.normal_(pooling.score.weight, std=3)  # far from a mean
    clips = [torch.randn(length, features) for length in (1, 4, 7)]
    with torch.no_grad():
        found = pooling(padded(clips, 7))
        assert found.shape == (3, tokens, width)
        for own, clip in zip(found, clips, strict=True):
            torch.testing.assert_close(own, literal(pooling, clip), rtol=1e-5, atol=1e-6)


def test_what_lies_in_the_padding_is_never_seen():
    pooling = AttentionPooling(3, 4, 2)
    frames = padded([torch.randn(2, 3), torch.randn(5, 3)], 5)
    before = pooling(frames)
    frames.values[0, 2:] = 1e6
    assert torch.equal(pooling(frames), before)


def test_one_frame_and_one_token_are_the_projection_of_a_vector():
    pooling, x = AttentionPooling(3, 4, 1), torch.randn(6, 3)
    found = pooling(Frames(x[:, None], torch.ones(6, 1, dtype=torch.bool)))
    torch.testing.assert_close(found[:, 0], pooling.project(x))


def make(tokens=3):
    torch.manual_seed(1)
    return Encoders(VIEWS, 8, 1, 2, tokens)


def features():
    torch.manual_seed(2)
    return [torch.randn(4, 5), padded([torch.randn(n, 6) for n in (1, 3, 5, 2)], 5), torch.randn(4, 3)]


def test_frames_of_an_absent_view_change_nothing():
    encoders, own, present = make(), features(), torch.ones(4, 3, dtype=torch.bool)
    present[0, 1] = False
    before = encoders.hat(own, present)
    own[1].values[0] += 5
    after = encoders.hat(own, present)
    torch.testing.assert_close(after[0, 0], before[0, 0])
    own[1].values[1] += 5
    assert not torch.allclose(encoders.hat(own, present)[0, 1], before[0, 1])


def test_a_clip_whose_view_has_no_frame_is_encoded_from_the_others():
    encoders, own, present = make(), features(), torch.ones(4, 3, dtype=torch.bool)
    own[1].real[0] = False
    without = present.clone()
    without[0, 1] = False
    assert torch.equal(encoders.hat(own, present), encoders.hat(own, without))


def test_every_token_learns():
    encoders, own = make(), features()
    encoders(own, torch.ones(4, 3, dtype=torch.bool)).square().sum().backward()
    pooling = encoders.modality[0].project[1]
    assert (pooling.score.weight.grad.abs().sum(dim=1) > 0).all()
    assert encoders.modality[0].project[0].weight.grad.abs().sum() > 0
