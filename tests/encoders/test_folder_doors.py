"""A model folder from a stranger: what it may not decide is one line that names the params key and the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, HubertConfig, HubertModel, ViTConfig, ViTModel

from mer.encoders.checkpoints.folder_check import check_finite, check_tensors, check_values
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.errors import MerError
from mer.params import AudioParams, FaceParams, TextParams
from tests.encoders.speech_models import TINY, save

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def bert(folder: Path) -> Path:
    BertModel(BertConfig(vocab_size=20, **SMALL)).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return folder


def vit(folder: Path) -> Path:
    ViTModel(ViTConfig(image_size=32, patch_size=16, **SMALL)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 32, "width": 32}}))
    return folder


def load_text(folder: Path) -> None:
    load_text_encoder(TextParams(encoder=str(folder))).encode(["a b c"])


def load_face(folder: Path) -> None:
    load_face_encoder(FaceParams(encoder=str(folder))).encode([np.zeros((2, 32, 32, 3), np.uint8)])


KINDS = {"text.encoder": (bert, load_text), "face.encoder": (vit, load_face)}


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def shard(folder: Path, names: dict[str, str]) -> None:
    """Split the weights in two files and an index; `names` renames files in the index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = [dict(list(weights.items())[::2]), dict(list(weights.items())[1::2])]
    where = {}
    for number, part in enumerate(parts):
        file = f"model-{number + 1:05}-of-00002.safetensors"
        save_file(part, folder / file, {"format": "pt"})
        where |= dict.fromkeys(part, names.get(file, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def refused(kind: str, folder: Path) -> str:
    with pytest.raises(MerError) as caught:
        KINDS[kind][1](folder)
    line = str(caught.value)
    assert line.startswith(f"{kind}: {folder}")
    assert "\n" not in line
    return line


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return KINDS[kind][0](tmp_path / "model")


@pytest.mark.parametrize("name", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
@pytest.mark.parametrize(
    "value", ["kernels-community/flash-attn", "someone/evil@main:attack", "flash_attention_2", "x"]
)
def test_a_config_does_not_choose_code_to_fetch(kind: str, folder: Path, name: str, value: str) -> None:
    change_config(folder, **{name: value})
    assert name in refused(kind, folder)


def test_not_even_deep_inside(kind: str, folder: Path) -> None:
    change_config(folder, text_config={"deeper": [{"_attn_implementation": "someone/evil"}]})
    assert "someone/evil" in refused(kind, folder)


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**12},
        {"num_hidden_layers": -1},
        {"hidden_size": "many"},
        {"num_attention_heads": [1]},
        {"initializer_range": float("nan")},
        {"layer_norm_eps": float("inf")},
    ],
    ids=str,
)
def test_a_config_holds_numbers_that_can_be(kind: str, folder: Path, values: dict[str, Any]) -> None:
    change_config(folder, **values)
    assert next(iter(values)) in refused(kind, folder)


COUNTS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "encoder_layers", "decoder_layers", "vocab_size"),
    *("num_attention_heads", "max_position_embeddings", "image_size", "num_frames", "num_channels", "patch_size"),
    *("projection_dim", "conv_dim", "conv_kernel", "conv_stride", "num_conv_pos_embeddings", "d_model"),
    *("encoder_ffn_dim", "decoder_ffn_dim", "encoder_attention_heads", "decoder_attention_heads", "num_mel_bins"),
    *("max_source_positions", "max_target_positions", "type_vocab_size"),
)


@pytest.mark.parametrize("name", COUNTS)
def test_every_count_has_ends(name: str) -> None:
    for value in (10**9, -1, float("inf"), "many", [10**9], {"a": 1}):
        inner: Any = value if not isinstance(value, dict) else [[-5]]
        with pytest.raises(MerError, match=rf"^here: (text_config\.)?{name}: "):
            check_values({name: inner}, "here")
        with pytest.raises(MerError, match=rf"^here: text_config\.{name}: "):
            check_values({"text_config": {name: inner}}, "here")
    check_values({name: 1}, "here")
    check_values({name: None}, "here")


@pytest.mark.parametrize("name", ["conv_dim", "conv_kernel", "conv_stride"])
def test_convolutions_are_few(name: str) -> None:
    with pytest.raises(MerError, match=f"{name}: 65 convolutions"):
        check_values({name: [1] * 65}, "here")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({5: torch.ones(1)}, "which is no name"),
        ({"a": [1.0]}, "is a list, no tensor"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "of a kind that no model computes with"),
        ({"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)}, "of a kind that no model"),
        ({"a": torch.ones(2, 2).to_sparse()}, "of a kind that no model"),
        ({"a": torch.ones(2, device="meta")}, "of a kind that no model"),
        ({"a": torch.ones(1).expand(10**6)}, "claims to be larger"),
    ],
    ids=str,
)
def test_weights_are_named_tensors_of_numbers(weights: dict[Any, Any], said: str) -> None:
    check_tensors({"whole": torch.ones(3)}, "here")
    with pytest.raises(MerError, match=f"^here: .*{said}"):
        check_tensors(weights, "here")


@pytest.mark.parametrize("kind_", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_of_any_width_are_looked_at(kind_: torch.dtype) -> None:
    check_finite({"a": torch.ones(2).to(kind_), "steps": torch.ones(2, dtype=torch.int64)}, "here")
    with pytest.raises(MerError, match=r"^here: weight 'a' holds"):
        check_finite({"a": torch.tensor([1.0, float("nan")]).to(kind_)}, "here")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 10**5, b" " * 2**25])
def test_a_config_is_a_json_object(kind: str, folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refused(kind, folder)


@pytest.mark.parametrize(
    "name", ["../other/model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "", "a\\b", "a\nb"]
)
def test_an_index_names_files_of_its_folder_alone(kind: str, folder: Path, name: str) -> None:
    (folder.parent / "other").mkdir()
    shutil.copy(folder / "model.safetensors", folder.parent / "other")
    shard(folder, {"model-00002-of-00002.safetensors": name})
    assert "is not the name of a file in this folder" in refused(kind, folder)


def test_a_missing_shard_is_named(kind: str, folder: Path) -> None:
    shard(folder, {})
    KINDS[kind][1](folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors, which it names, is not there" in refused(kind, folder)


@pytest.mark.parametrize("weight_map", [None, {}, [], {"a": 1}, {"a": None}, "x"])
def test_an_index_is_a_map_of_names(kind: str, folder: Path, weight_map: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert "index.json" in refused(kind, folder)


def audio(folder: Path) -> Path:
    return save(HubertModel(HubertConfig(**TINY)), folder)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: change_config(folder, _attn_implementation="someone/evil"),
        lambda folder: change_config(folder, num_hidden_layers=10**9),
        lambda folder: shard(folder, {"model-00001-of-00002.safetensors": "../model.safetensors"}),
        lambda folder: (shard(folder, {}), (folder / "model-00001-of-00002.safetensors").unlink()),
        lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}'),
        lambda folder: save_file(
            {name: value * float("nan") for name, value in load_file(folder / "model.safetensors").items()},
            folder / "model.safetensors",
        ),
    ],
)
def test_a_speech_folder_meets_the_same_door(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    folder = audio(tmp_path / "model")
    encoder = SpeechFeatures(AudioParams(model=str(folder), layers=(-1,)))
    encoder.encode([np.zeros(16000, np.float32)])
    spoil(folder)
    with pytest.raises(MerError, match=str(folder)):
        SpeechFeatures(AudioParams(model=str(folder), layers=(-1,))).encode([np.ones(16000, np.float32)])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_are_numbers(kind: str, folder: Path, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(weights) if "layer.0" in name or "layers.0" in name)
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "not finite" in refused(kind, folder)


def test_cuda_where_there_is_none_is_one_line(kind: str, folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    params = {"text.encoder": TextParams, "face.encoder": FaceParams}[kind](encoder=str(folder), device="cuda")
    load = {"text.encoder": load_text_encoder, "face.encoder": load_face_encoder}[kind]
    item = {"text.encoder": "a b c", "face.encoder": torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy()}[kind]
    with pytest.raises(MerError, match="cuda"):
        load(params).encode([item])  # type: ignore[operator]
