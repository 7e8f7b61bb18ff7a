"""Every weight of a checkpoint counts: features change with each, and what the forward pass would skip is refused.

`MER_RELIABILITY=large` has a block between the first and the last, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tr
from safetensors.torch import load_file, save_file

from mer.encoders.checkpoints.coverage import OTHER_INPUTS, WeightReads, prove_all_read
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech import load_speech_encoder
from mer.encoders.speech.wav2vec import _Block
from mer.encoders.text.load import load_text_encoder
from mer.errors import MerError
from mer.params import FaceParams, TextParams
from tests.encoders import speech_models
from tests.encoders.speech_models import save, sharpened, waveform, whisper

BLOCKS = 3 if os.environ.get("MER_RELIABILITY") == "large" else 2
TINY = speech_models.TINY | {"num_hidden_layers": BLOCKS}
STABLE: dict[str, Any] = TINY | {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
VISION = SMALL | {"image_size": 30, "patch_size": 10}
SQUARE = {"size": {"height": 30, "width": 30}, "crop_size": {"height": 30, "width": 30}}
SHORT = {"size": {"shortest_edge": 34}, "crop_size": {"height": 30, "width": 30}}

SPEECH: dict[str, Callable[[], tr.PreTrainedModel]] = {
    "hubert": lambda: tr.HubertModel(tr.HubertConfig(**TINY)),
    "hubert pre-norm": lambda: tr.HubertModel(tr.HubertConfig(**STABLE)),
    "hubert batch norm": lambda: tr.HubertModel(tr.HubertConfig(**TINY, conv_pos_batch_norm=True)),
    "hubert adapters": lambda: tr.HubertModel(tr.HubertConfig(**STABLE, adapter_attn_dim=16)),
    "wav2vec2": lambda: tr.Wav2Vec2Model(tr.Wav2Vec2Config(**TINY)),
    "mms": lambda: tr.Wav2Vec2Model(tr.Wav2Vec2Config(**STABLE, adapter_attn_dim=16)),
    "wavlm": lambda: tr.WavLMModel(tr.WavLMConfig(**TINY)),
    "wavlm pre-norm": lambda: tr.WavLMModel(
        tr.WavLMConfig(**TINY, do_stable_layer_norm=True, feat_extract_norm="layer")
    ),
    "data2vec": lambda: tr.Data2VecAudioModel(tr.Data2VecAudioConfig(**TINY, num_conv_pos_embeddings=3)),
    "whisper": whisper,
}


def alive(model: tr.PreTrainedModel) -> tr.PreTrainedModel:
    """No weight is zero or one, as many are at initialisation."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator) * (1 if "weight" in name else 0.5))
    return model


def write(folder: Path, weights: dict[str, torch.Tensor], pickled: bool) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (folder / name).unlink(missing_ok=True)
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})


def poisoned(weights: dict[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Each weight in turn changed all over; integers (indices, counters) are no weights."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not name.endswith("num_batches_tracked"):
            yield name, weights | {name: tensor * 1.5 + 0.5 * torch.rand(tensor.shape, generator=generator)}


def unnoticed(folder: Path, features: Callable[[], np.ndarray]) -> list[str]:
    """Names of the weights that can change without changing the features."""
    weights = load_file(folder / "model.safetensors")
    before = features()
    found = []
    for name, changed in poisoned(weights):
        write(folder, changed, pickled=False)
        if np.allclose(features(), before, rtol=1e-4, atol=1e-5):
            found.append(name)
    return found


@pytest.mark.parametrize("name", SPEECH)
def test_every_weight_of_a_speech_encoder_counts(name: str, tmp_path: Path) -> None:
    folder = save(alive(sharpened(SPEECH[name])), tmp_path / "model")
    clip = waveform(6000, 0)
    silent = unnoticed(folder, lambda: load_speech_encoder(folder).final([clip])[0])
    # Added to every key alike, a bias moves all scores of a query alike, and attention not at all. Whisper's decoder
    # is no part of its encoder.
    passive = ("k_proj.bias", "masked_spec_embed")
    assert not [one for one in silent if not one.endswith(passive) and not one.startswith("decoder.")]


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize("name", SPEECH)
def test_the_proof_holds_in_both_formats_and_misses_nothing(
    name: str, pickled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(alive(sharpened(SPEECH[name])), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    write(folder, weights, pickled)
    load_speech_encoder(folder)
    if "hubert" in name:
        # A forward pass that forgets one tensor of one block is refused by its name.
        real = _Block.__init__

        def forgetful(self: Any, block: Any, *rest: Any) -> None:
            real(self, block, *rest)
            self._norm = torch.nn.LayerNorm(32).eval().requires_grad_(False)

        monkeypatch.setattr(_Block, "__init__", forgetful)
        with pytest.raises(
            MerError, match=rf"does not read {2 * BLOCKS} of the weights.*layers\.0\.final_layer_norm\.bias"
        ):
            load_speech_encoder(folder)


def test_mms_adapters_give_what_transformers_gives(tmp_path: Path) -> None:
    model = alive(sharpened(SPEECH["mms"])).eval()
    folder = save(model, tmp_path / "model", normalize=False)
    clip = waveform(6000, 0)
    with torch.inference_mode():
        expected = model(torch.from_numpy(clip)[None]).last_hidden_state[0].numpy()
    np.testing.assert_allclose(load_speech_encoder(folder).final([clip])[0], expected, atol=2e-4)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"add_adapter": True, "num_adapter_layers": 1}, "adapter.layers.0"),
        ({"add_adapter": True, "num_adapter_layers": 2, "output_hidden_size": 16}, "adapter."),
    ],
)
def test_what_our_forward_pass_has_not_is_refused_by_name(extra: dict[str, Any], named: str, tmp_path: Path) -> None:
    model = sharpened(lambda: tr.Wav2Vec2Model(tr.Wav2Vec2Config(**TINY, **extra)))
    folder = save(model, tmp_path / "model")
    with pytest.raises(MerError, match=f"does not read.*{named}"):
        load_speech_encoder(folder)


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize(
    "name",
    [
        "encoder.layers.0.prompt",
        "encoder.layers.1.extra_norm.weight",
        "encoder.layers.0.attention.q_proj.lora_A.weight",
    ],
)
def test_weights_that_the_configuration_knows_nothing_of_are_refused_by_name(
    name: str, pickled: bool, tmp_path: Path
) -> None:
    folder = save(sharpened(SPEECH["hubert"]), tmp_path / "model")
    write(folder, load_file(folder / "model.safetensors") | {name: torch.ones(3)}, pickled)
    with pytest.raises(MerError, match=name):
        load_speech_encoder(folder)


def vision(build: str) -> tuple[tr.PreTrainedModel, Any]:
    if build == "clip":
        text = SMALL | {"vocab_size": 50, "max_position_embeddings": 8}
        config = tr.CLIPConfig(text_config=text, vision_config=VISION | {"projection_dim": 20}, projection_dim=20)
        return tr.CLIPModel(config), tr.CLIPImageProcessorPil(**SHORT)
    if build == "vit":
        return tr.ViTModel(tr.ViTConfig(**VISION)), tr.ViTImageProcessorPil(**SQUARE)
    if build == "dinov2":
        config = tr.Dinov2Config(**{k: v for k, v in VISION.items() if k != "intermediate_size"}, mlp_ratio=2)
        return tr.Dinov2Model(config), tr.BitImageProcessorPil(**SHORT)
    if build == "data2vec":
        return tr.Data2VecVisionModel(tr.Data2VecVisionConfig(**VISION)), tr.BeitImageProcessorPil(**SQUARE)
    config = tr.VideoMAEConfig(**VISION, num_frames=4, tubelet_size=2)
    return tr.VideoMAEModel(config), tr.VideoMAEImageProcessorPil(**SHORT)


VISION_MODELS = ("clip", "vit", "dinov2", "data2vec", "videomae")


@pytest.fixture(params=VISION_MODELS)
def vision_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model, processor = vision(request.param)
    alive(model).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path


def test_every_weight_of_a_face_encoder_counts(vision_folder: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)

    def features() -> np.ndarray:
        return load_face_encoder(FaceParams(encoder=str(vision_folder), device="cpu")).encode([crops])[0].embedding

    # CLIP's text tower and the poolers are not part of an image's features; k_proj.bias never moves attention.
    passive = ("text_model.", "text_projection", "logit_scale", "pooler.", "mask_token")
    silent = unnoticed(vision_folder, features)
    assert not [
        one
        for one in silent
        if not one.endswith(("k_proj.bias", "key.bias", "mask_token")) and not one.startswith(passive)
    ]


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
def test_a_face_encoder_whose_forward_pass_skips_weights_is_refused(
    vision_folder: Path, pickled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(vision_folder, load_file(vision_folder / "model.safetensors"), pickled)
    crops = np.zeros((1, 40, 40, 3), np.uint8)
    encoder = load_face_encoder(FaceParams(encoder=str(vision_folder), device="cpu"))
    monkeypatch.setattr(torch.nn.LayerNorm, "forward", lambda self, x: x)
    with pytest.raises(MerError, match=r"face\.encoder.*does not read \d+ of the weights.*norm.*bias"):
        encoder.encode([crops])


@pytest.mark.parametrize("build", [*VISION_MODELS, "bert"])
def test_the_proof_misses_no_single_tensor(build: str) -> None:
    model: Any = tr.BertModel(tr.BertConfig(**SMALL, vocab_size=8)) if build == "bert" else vision(build)[0]
    model = (model.vision_model if build == "clip" else model).eval()
    pixels = torch.zeros(*((1, 4) if build == "videomae" else (1,)), 3, 30, 30)
    inputs = {"input_ids": torch.zeros(1, 1, dtype=torch.long)} if build == "bert" else {"pixel_values": pixels}
    prove_all_read(model, lambda: model(**inputs), "text.encoder")
    for name, parameter in dict(model.named_parameters()).items():
        if OTHER_INPUTS.search(name):
            continue
        owner = model.get_submodule(name.rpartition(".")[0])

        another = torch.nn.Parameter(parameter.detach().clone())

        def forgetful(swap: Any = (owner, name.rpartition(".")[2]), pair: Any = (another, parameter)) -> None:
            setattr(*swap, pair[0])
            model(**inputs)
            setattr(*swap, pair[1])

        with pytest.raises(MerError, match=rf"text\.encoder: .*does not read 1 of the weights.*: {name}$"):
            prove_all_read(model, forgetful, "text.encoder")


def bert(folder: Path) -> Path:
    torch.manual_seed(0)
    alive(tr.BertModel(tr.BertConfig(**SMALL, vocab_size=8, max_position_embeddings=16))).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "day"]))
    tr.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def text_features(folder: Path) -> np.ndarray:
    params = TextParams(encoder=str(folder), device="cpu", layers=(-2, -1))
    return load_text_encoder(params).encode(["good day bad"])[0].embedding


def test_every_weight_of_a_text_encoder_counts(tmp_path: Path) -> None:
    silent = unnoticed(bert(tmp_path), lambda: text_features(tmp_path))
    assert not [one for one in silent if not one.endswith("key.bias") and not one.startswith("pooler.")]


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.0.output.adapter.down.weight",
        "bert.encoder.layer.0.attention.self.query.lora_A.weight",
        "embeddings.prompt",
        "embeddings.extra_norm.weight",
        "prompt_encoder.embedding.weight",
        "adapters.0.up.weight",
    ],
)
def test_adapters_prompts_and_extra_norms_of_text_and_vision_are_refused_by_name(
    name: str, pickled: bool, tmp_path: Path
) -> None:
    folder = bert(tmp_path)
    write(folder, load_file(folder / "model.safetensors") | {name: torch.ones(3)}, pickled)
    with pytest.raises(MerError, match=r"text\.encoder.*does not read 1 of the weights") as error:
        text_features(folder)
    assert name.removeprefix("bert.") in str(error.value)


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
def test_a_text_encoder_whose_forward_pass_skips_weights_is_refused(
    pickled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert(tmp_path)
    write(folder, load_file(folder / "model.safetensors"), pickled)
    monkeypatch.setattr(torch.nn.LayerNorm, "forward", lambda self, x: x)
    with pytest.raises(MerError, match=r"text\.encoder.*does not read 10 of the weights.*LayerNorm\.bias"):
        text_features(folder)


@pytest.mark.parametrize("name", ["cls.predictions.bias", "classifier.weight", "lm_head.weight"])
def test_a_head_on_top_is_left_out(name: str, tmp_path: Path) -> None:
    before = text_features(bert(tmp_path))
    write(tmp_path, load_file(tmp_path / "model.safetensors") | {name: torch.ones(3)}, pickled=False)
    np.testing.assert_array_equal(text_features(tmp_path), before)


def test_an_adapter_beside_the_model_is_refused(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(MerError, match=r"adapter_config\.json"):
        text_features(folder)
    speech = save(sharpened(SPEECH["hubert"]), tmp_path / "speech")
    (speech / "adapter_config.json").write_text("{}")
    with pytest.raises(MerError, match=r"adapter_config\.json"):
        load_speech_encoder(speech)


def test_looking_at_a_weight_is_not_reading_it() -> None:
    one, two, three = torch.ones(4), torch.ones(4), torch.ones(4)
    with WeightReads({"one": one, "two": two, "three": three, "tied": one}) as reads:
        two.view(2, 2).t()
        (one[2:] + 1).sum()
    assert reads.unread() == ["three", "two"]
