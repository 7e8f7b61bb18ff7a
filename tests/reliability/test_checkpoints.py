"""Checkpoints of strangers at every door: one line each, nothing executed, no hang.

`MER_RELIABILITY=large` tries more places to cut and more bytes to flip.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mer.encoders.asr.load import load_transcriber
from mer.encoders.face.load import load_detector, load_face_encoder
from mer.encoders.speech.checkpoint import convert_checkpoint
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import MerError
from mer.params import AudioParams, CropParams, FaceParams, OnnxParams, TextParams, TranscribeParams
from mer.weights.add import add
from tests.encoders.test_asr_whisper import tiny_whisper
from tests.encoders.test_folder_doors import audio, bert, vit

LARGE = os.environ.get("MER_RELIABILITY") == "large"
SECOND = np.sin(np.arange(16_000) / 20).astype(np.float32)
CROPS = np.zeros((2, 32, 32, 3), np.uint8)
Spoil = Callable[[Path, Path], object]
"""Changes a folder (or file) of weights; the second path is what a payload would create."""


class Payload:
    """Unpickled by an unsafe reader, this makes a folder; nothing worse."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (self._target,)


def hear(path: Path) -> None:
    SpeechFeatures(AudioParams(model=str(path), layers=(-1,))).encode([SECOND])


def read(path: Path) -> None:
    load_text_encoder(TextParams(encoder=str(path), layers=(-1,))).encode(["a b c"])


def see(path: Path) -> None:
    load_face_encoder(FaceParams(encoder=str(path))).encode([CROPS])


def recognise(path: Path) -> None:
    transcriber = load_transcriber(TranscribeParams(asr=str(path), language="en"))
    transcriber._recognise([SECOND])  # type: ignore[union-attr]  # in which nobody speaks: `transcribe` would skip it


MAKERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], None]]] = {
    "audio": (audio, hear),
    "text": (bert, read),
    "face": (vit, see),
    "asr": (tiny_whisper, recognise),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {kind: tmp_path_factory.mktemp(kind) / "model" for kind in MAKERS}
    for kind, folder in folders.items():
        MAKERS[kind][0](folder)
        MAKERS[kind][1](folder)
    return folders


def config(**values: Any) -> Spoil:
    """Set values in config.json, nested in `vision_config` and the like nowhere."""

    def change(folder: Path, _: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def weights(change: Callable[[torch.Tensor], torch.Tensor], *, every: bool = False) -> Spoil:
    """Change one weight in the middle, or all of them."""

    def spoil(folder: Path, _: Path) -> None:
        values = load_file(folder / "model.safetensors")
        names = [name for name in sorted(values) if values[name].is_floating_point()]
        for name in names if every else [names[len(names) // 2]]:
            values[name] = change(values[name]).contiguous().clone()
        save_file(values, folder / "model.safetensors", {"format": "pt"})

    return spoil


def content(name: str, data: bytes | None) -> Spoil:
    def write(folder: Path, _: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if data is not None:
            (folder / name).write_bytes(data)

    return write


def cut(share: float) -> Spoil:
    def spoil(folder: Path, _: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    return spoil


def as_pickle(change: Callable[[dict[str, Any], Path], Any]) -> Spoil:
    """The weights as pytorch_model.bin, with something in them."""

    def spoil(folder: Path, marker: Path) -> None:
        values = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(change(values, marker), folder / "pytorch_model.bin")

    return spoil


def bomb(folder: Path, _: Path) -> None:
    """An archive of 64 kB that unpacks to 64 MB."""
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26))


def claim(size: int) -> Spoil:
    """A header that announces more than the file holds."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}).encode()
    return content("model.safetensors", len(header).to_bytes(8, "little") + header + bytes(64))


def stretched(values: dict[str, Any], _: Path) -> dict[str, Any]:
    return {name: torch.zeros(1).expand(2**40) for name in values}


SPOILT: dict[str, Spoil] = {
    **{f"weights cut at {share}": cut(share) for share in (0.0, 0.001, 0.5, 0.99)},
    "no weights": content("model.safetensors", None),
    "weights that are text": content("model.safetensors", b"version https://git-lfs"),
    "header of 2**60 bytes": content("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"),
    "header that is no JSON": content("model.safetensors", (4).to_bytes(8, "little") + b"\xff\xff\xff\xff"),
    "header claims a terabyte": claim(2**38),
    "header claims 2**62": claim(2**62),
    "not a number": weights(lambda x: x * float("nan")),
    "all not a number": weights(lambda x: x * float("nan"), every=True),
    "infinite": weights(lambda x: x + float("inf")),
    "so large that the outputs are not numbers": weights(lambda x: torch.full_like(x, 3e38), every=True),
    "weights of no rows": weights(lambda x: x[:0]),
    "weights twice as wide": weights(lambda x: torch.cat([x, x])),
    "weights flat": weights(lambda x: x.reshape(-1, 1, 1)),
    "complex weights": weights(lambda x: x.to(torch.complex64), every=True),
    "a pickle that runs": as_pickle(lambda values, marker: {**values, "x": Payload(marker)}),
    "a pickle that is a list": as_pickle(lambda values, marker: list(values)),
    "a pickle of strings": as_pickle(lambda values, marker: dict.fromkeys(values, "x")),
    "a pickle of tensors without memory": as_pickle(stretched),
    "a pickle with numbered names": as_pickle(lambda values, marker: dict(enumerate(values.values()))),
    "a zip bomb": bomb,
    "no config": content("config.json", None),
    "config of zeros": content("config.json", bytes(64)),
    "config nested": content("config.json", b"[" * 10**5),
    "config null": content("config.json", b"null"),
    "config of another kind": config(model_type="resnet"),
    "config of no kind": config(model_type=None),
    "kind is a list": config(model_type=["bert"]),
    "hidden size 0": config(hidden_size=0, d_model=0),
    "hidden size -1": config(hidden_size=-1, d_model=-1),
    "hidden size as text": config(hidden_size="32", d_model="32"),
    "hidden size other": config(hidden_size=48, d_model=48),
    "hidden size 10**9": config(hidden_size=10**9, d_model=10**9),
    "no blocks": config(num_hidden_layers=0, encoder_layers=0),
    "fewer blocks than weights": config(num_hidden_layers=1, encoder_layers=1),
    "more blocks than weights": config(num_hidden_layers=9, encoder_layers=9),
    "10**8 blocks": config(num_hidden_layers=10**8, encoder_layers=10**8),
    "heads that do not divide": config(num_attention_heads=5, encoder_attention_heads=5),
    "no heads": config(num_attention_heads=0, encoder_attention_heads=0),
    "an activation that there is not": config(hidden_act="nope", activation_function="nope"),
    "an activation that is a number": config(hidden_act=7, activation_function=7),
    "epsilon infinite": config(layer_norm_eps=float("inf"), dropout=float("nan")),
    "attention from a hub": config(_attn_implementation="someone/evil"),
    "an adapter beside it": content("adapter_config.json", b"{}"),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_folder_is_one_line(whole: dict[str, Path], tmp_path: Path, kind: str, name: str) -> None:
    folder, marker = shutil.copytree(whole[kind], tmp_path / "model"), tmp_path / "ran"
    SPOILT[name](folder, marker)
    refused(lambda: MAKERS[kind][1](folder), tmp_path)
    assert not marker.exists()


def refused(use: Callable[[], object], path: Path) -> None:
    with pytest.raises(MerError) as caught:
        use()
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert len(line) < 1500


# ---------------------------------------------------------------- fairseq's .pt, and `mer convert`

SIZES = {"encoder_embed_dim": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_embed_dim": 48}


def fairseq(model: Any = None, **values: Any) -> dict[str, Any]:
    section = {"_name": "hubert", "conv_feature_layers": "[(32,10,5)] * 2", **SIZES} if model is None else model
    return {"cfg": {"model": section, "task": {}}, "model": {"mask_emb": torch.zeros(32)}, **values}


def sized(**values: Any) -> dict[str, Any]:
    return fairseq({"_name": "hubert", "conv_feature_layers": "[(32,10,5)] * 2", **SIZES, **values})


def doubled(times: int) -> list[Any]:
    """Lists that hold each other: 2**times values written out."""
    values: list[Any] = ["x"]
    for _ in range(times):
        values = [values, values]
    return values


def itself() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


PT: dict[str, Callable[[Path], Any]] = {
    "a tensor": lambda _: torch.zeros(3),
    "a list": lambda _: [1, 2],
    "nothing": lambda _: None,
    "empty": lambda _: {},
    "no configuration": lambda _: {"model": {}},
    "configuration null": lambda _: fairseq(cfg=None),
    "configuration is text": lambda _: fairseq(cfg="hubert"),
    "section is a number": lambda _: fairseq(model=5),
    "section is a list": lambda _: fairseq(model=[1]),
    "arguments are text": lambda _: {"args": "x", "model": {}},
    "arguments without names": lambda _: {"args": argparse.Namespace(), "model": {}},
    "weights are a list": lambda _: fairseq() | {"model": [torch.zeros(2)]},
    "weights are text": lambda _: fairseq() | {"model": {"a": "b"}},
    "weights are numbered": lambda _: fairseq() | {"model": {1: torch.zeros(2)}},
    "weights are not numbers": lambda _: fairseq() | {"model": {"mask_emb": torch.full((32,), float("nan"))}},
    "weights without memory": lambda _: fairseq() | {"model": {"mask_emb": torch.zeros(1).expand(2**42)}},
    "weights on no device": lambda _: fairseq() | {"model": {"mask_emb": torch.zeros(32, device="meta")}},
    "weights missing": lambda _: fairseq(),
    "layers 10**9": lambda _: sized(encoder_layers=10**9),
    "layers -1": lambda _: sized(encoder_layers=-1),
    "layers as text": lambda _: sized(encoder_layers="two"),
    "width nan": lambda _: sized(encoder_embed_dim=float("nan")),
    "width 10**12": lambda _: sized(encoder_embed_dim=10**12),
    "no heads": lambda _: sized(encoder_attention_heads=0),
    "activation": lambda _: sized(activation_fn="nope"),
    "groups": lambda _: sized(conv_pos_groups=0),
    "convolutions number": lambda _: sized(conv_feature_layers=5),
    "convolutions code": lambda _: sized(conv_feature_layers="__import__('os').mkdir('ran')"),
    "convolutions none": lambda _: sized(conv_feature_layers="[]"),
    "convolutions 64**5": lambda _: sized(conv_feature_layers="[(1,1,1)]" + "*64" * 5),
    "convolutions nested": lambda _: sized(conv_feature_layers="(" * 5000),
    "convolutions long": lambda _: sized(conv_feature_layers="[(1,1,1)]" + "+[(1,1,1)]" * 5000),
    "convolutions negative": lambda _: sized(conv_feature_layers="[(-1,10,5)]"),
    "convolutions kernel 0": lambda _: sized(conv_feature_layers="[(32,0,0)]"),
    "finetuned": lambda _: fairseq({"_name": "wav2vec_ctc"}),
    "another": lambda _: fairseq({"_name": "roberta"}),
    "name is a list": lambda _: fairseq({"_name": ["hubert"]}),
    "lists of lists": lambda _: fairseq(extra=doubled(60)),
    "a list in itself": lambda _: fairseq(extra=itself()),
    "code": lambda marker: fairseq(extra=Payload(marker)),
    "code in the weights": lambda marker: fairseq() | {"model": {"a": Payload(marker)}},
    "code in the configuration": lambda marker: fairseq({"_name": Payload(marker)}),
    "complex": lambda _: fairseq() | {"model": {"mask_emb": torch.zeros(32, dtype=torch.complex64)}},
    "sparse": lambda _: fairseq() | {"model": {"mask_emb": torch.eye(4).to_sparse()}},
}


@pytest.mark.parametrize("name", PT)
def test_a_hostile_pt_is_one_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, marker = tmp_path / "model.pt", tmp_path / "ran"
    torch.save(PT[name](marker), file)
    for use in (lambda: convert_checkpoint(file, tmp_path / "out"), lambda: hear(file), lambda: add(file, tmp_path)):
        refused(use, file)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_a_pt_cut_or_changed_anywhere_is_one_line(tmp_path: Path) -> None:
    file, draw = tmp_path / "model.pt", random.Random(0)
    torch.save(sized(), file)
    data = file.read_bytes()
    for share in range(40 if LARGE else 10):
        file.write_bytes(data[: len(data) * share // 40])
        refused(lambda: convert_checkpoint(file, tmp_path / "out"), file)
    for _ in range(200 if LARGE else 20):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 20)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        file.write_bytes(changed)
        refused(lambda: convert_checkpoint(file, tmp_path / "out"), file)  # the weights are not all there anyway


# ---------------------------------------------------------------- files that other libraries read


def bytes_of_files() -> Iterator[tuple[str, bytes]]:
    draw = random.Random(1)
    yield "empty", b""
    yield "text", b"not a model"
    yield "zeros", bytes(4096)
    yield "protobuf that goes on", b"\x08\x09" * 500
    yield "length beyond the end", b"\x3a\xff\xff\xff\xff\x7f"
    yield from ((f"noise {number}", draw.randbytes(500)) for number in range(20 if LARGE else 3))


@pytest.mark.parametrize(("name", "data"), bytes_of_files(), ids=[name for name, _ in bytes_of_files()])
def test_files_for_onnx_runtime_and_opencv(tmp_path: Path, name: str, data: bytes) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    for ending, detector in ((".onnx", "yunet"), (".tflite", "mediapipe")):
        file = tmp_path / f"model{ending}"
        file.write_bytes(data)
        refused(lambda: load_detector(CropParams(detector=detector, detector_model=str(file))), file)  # noqa: B023
    refused(lambda: load_face_encoder(FaceParams(encoder=str(tmp_path / "model.onnx"))), tmp_path)


@pytest.mark.parametrize(
    ("shape", "metadata"),
    [
        (("n", 3, 10**6, 10**6), {}),
        ((10**9, 3, 16, 16), {}),
        (("n", 3, 0, 0), {}),
        (("n", 3, 16, 16), {"image_std": [0, 0, 0]}),
        (("n", 3, 16, 16), {"image_mean": [float("nan")] * 3}),
        (("n", 3, 16, 16), {"image_mean": "many"}),
        (("n", 3, 16, 16), {"image_mean": [1]}),
        (("n", 3, 16, 16), {"image_std": {"a": 1}}),
        (("n", 3, 16, 16), {"image_std": 5}),
    ],
    ids=str,
)
def test_a_network_of_absurd_sizes(tmp_path: Path, shape: Any, metadata: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    from tests.encoders.test_face_onnx import network

    params = network(tmp_path / "model.onnx", shape, metadata=metadata)
    refused(lambda: load_face_encoder(params.model_copy(update={"onnx": OnnxParams()})), tmp_path)


@pytest.mark.parametrize(
    ("words", "arrays"),
    [
        (["a"], {"idf": np.ones(2), "components": np.ones((1, 2))}),
        ([1, 2], {"idf": np.ones(2), "components": np.ones((1, 2))}),
        ("ab", {"idf": np.ones(3), "components": np.ones((1, 3))}),
        (["a", "b"], {"idf": np.ones(2), "components": np.ones(2)}),
        (["a", "a"], {"idf": np.ones(2), "components": np.ones((1, 2))}),
        (["a", "b"], {"idf": np.full(2, np.nan), "components": np.ones((1, 2))}),
        (["a", "b"], {"idf": np.ones(2), "components": np.full((1, 2), np.inf)}),
        (["a", "b"], {"idf": np.ones(2)}),
        (None, {"idf": np.ones(2), "components": np.ones((1, 2))}),
    ],
    ids=str,
)
def test_a_fitted_text_encoder_of_strange_parts(tmp_path: Path, words: Any, arrays: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "tfidf.json").write_text(json.dumps({"ngrams": [1, 2], "vocabulary": words}))
    save_file({name: value.astype(np.float32) for name, value in arrays.items()}, tmp_path / "tfidf.safetensors")
    refused(lambda: TfidfTextEncoder.load(tmp_path), tmp_path)
