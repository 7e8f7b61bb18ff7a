"""Models of transformers with packed linear layers."""

import copy

import pytest
import torch
import transformers as tr
from torch import nn

from mer.encoders.packed import pack_linear_layers

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
VISION = TINY | {"image_size": 30, "patch_size": 10}
IMAGES = {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 30 * 30).sin().view(2, 3, 30, 30)}
TOKENS = {"input_ids": torch.arange(14).view(2, 7)}


def models():
    text = TINY | {"vocab_size": 50, "max_position_embeddings": 16}
    return [
        (tr.ViTModel(tr.ViTConfig(**VISION)), IMAGES),
        (tr.Data2VecVisionModel(tr.Data2VecVisionConfig(**VISION)), IMAGES),  # its keys have no bias
        (tr.BertModel(tr.BertConfig(**text)), TOKENS),
        (tr.BertModel(tr.BertConfig(**text, hidden_act="relu")), TOKENS),
        (tr.LlamaModel(tr.LlamaConfig(**text)), TOKENS),
    ]


@pytest.mark.parametrize("number", range(5))
@torch.inference_mode()
def test_the_output_stays_the_same_and_no_plain_linear_layer_remains(number):
    torch.manual_seed(0)
    model, inputs = models()[number]
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    model.eval()
    packed = copy.deepcopy(model)
    pack_linear_layers(packed)
    assert not any(isinstance(module, nn.Linear) for module in packed.modules())
    expected = model(**inputs).last_hidden_state
    assert (packed(**inputs).last_hidden_state - expected).abs().max() < 1e-5 * expected.abs().max()


def test_layers_of_another_device_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 3, device="meta"))
    pack_linear_layers(model)
    assert isinstance(model[0], nn.Linear)
