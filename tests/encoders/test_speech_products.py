"""The products an encoder is made of: packed linear layers, strided and positional convolutions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import HubertConfig
from transformers.activations import GELUActivation
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder, HubertPositionalConvEmbedding

from mer.encoders.int8 import Int8Linear
from mer.encoders.linear import PackedLinear
from mer.encoders.speech.convolutions import CHUNK_FRAMES, Convolutions
from mer.encoders.speech.positions import BLOCK, PositionalConvolution
from tests.encoders.speech_models import TINY


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_does_not_depend_on_how_many_there_are(dtype):
    torch.manual_seed(0)
    linear = PackedLinear(torch.randn(48, 3072), torch.randn(48), dtype, activation=GELUActivation())
    x = torch.randn(300, 3072)
    together = linear(x)
    for rows in (slice(0, 1), slice(7, 8), slice(0, 2), slice(31, 64), slice(100, 299)):
        assert torch.equal(linear(x[rows]), together[rows])


def test_int8_rounds_each_output_and_each_row_by_its_own_scale():
    torch.manual_seed(0)
    weight = torch.randn(24, 40) * torch.logspace(-3, 3, 24)[:, None]
    x = torch.randn(600, 40) * torch.logspace(-3, 3, 600)[:, None]
    x[7] = 0
    linear = Int8Linear(weight, torch.zeros(24))
    size = x.norm(dim=1)[:, None] * weight.norm(dim=1)
    assert ((linear(x) - x @ weight.T).abs() <= 0.02 * size).all()
    assert torch.equal(linear(x[550:551]), linear(x)[550:551])


@pytest.mark.parametrize("activation", [None, GELUActivation(), torch.relu])
def test_a_packed_layer_is_a_linear_layer(activation):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(24, 40), torch.randn(24), torch.randn(9, 40)
    expected = functional.linear(x, weight, bias)
    if activation is not None:
        expected = activation(expected)
    torch.testing.assert_close(PackedLinear(weight, bias, torch.float32, activation=activation)(x), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_a_torch_without_onednns_private_operators_still_multiplies(dtype, tolerance, monkeypatch):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(24, 40), torch.randn(24), torch.randn(9, 40)
    expected = PackedLinear(weight, bias, dtype, activation=GELUActivation())(x)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_reorder_linear_weight=None))
    torch.testing.assert_close(
        PackedLinear(weight, bias, dtype, activation=GELUActivation())(x), expected, atol=tolerance, rtol=0
    )


@pytest.mark.parametrize("samples", [400, 719, 720, CHUNK_FRAMES * 320 + 399, CHUNK_FRAMES * 320 * 2 + 1000])
@pytest.mark.parametrize("options", [{}, {"feat_extract_norm": "layer"}, {"conv_bias": True}])
@torch.no_grad()
def test_convolutions_equal_transformers(samples, options):
    torch.manual_seed(0)
    module = HubertFeatureEncoder(HubertConfig(**TINY, **options)).eval()
    for name, parameter in module.named_parameters():
        if "layer_norm" in name or "bias" in name:
            parameter.copy_(torch.randn_like(parameter))
    waveform = 0.1 * torch.randn(samples) + 0.05
    frames = Convolutions(module, torch.float32)
    torch.testing.assert_close(frames(waveform), module(waveform[None])[0].T, atol=1e-5, rtol=1e-4)
    assert frames.frames(samples) == len(frames(waveform))


@pytest.mark.parametrize("kernel", [128, 19])
@pytest.mark.parametrize("frames", [1, 64, BLOCK - 127, BLOCK - 126, 700])
@torch.no_grad()
def test_the_positional_convolution_equals_transformers(kernel, frames):
    torch.manual_seed(0)
    config = HubertConfig(hidden_size=32, num_attention_heads=4, num_conv_pos_embeddings=kernel)
    module = HubertPositionalConvEmbedding(config).eval()
    nn.init.normal_(module.conv.bias)
    x = torch.randn(frames, 32)
    expected = module(x[None])[0]
    nn.utils.parametrize.remove_parametrizations(module.conv, "weight")
    torch.testing.assert_close(PositionalConvolution(module)(x, [frames]), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_clip_gets_the_same_positions_alone_and_among_others():
    torch.manual_seed(0)
    module = HubertPositionalConvEmbedding(HubertConfig()).eval()
    nn.utils.parametrize.remove_parametrizations(module.conv, "weight")
    positions = PositionalConvolution(module)
    lengths = [20, 700, 129, 130, 51]
    x = torch.randn(sum(lengths), 768)
    together = positions(x, lengths).split(lengths)
    for clip, expected in zip(x.split(lengths), together, strict=True):
        assert torch.equal(positions(clip, [len(clip)]), expected)
