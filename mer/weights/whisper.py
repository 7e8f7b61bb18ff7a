"""Whisper from CTranslate2's folder to Hugging Face's: the same numbers under other names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mer.errors import MerError
from mer.running.foreign import read_json
from mer.weights.ctranslate2 import Model, read_model

SPEC = "WhisperSpec"
CONFIG, VOCABULARY, TOKENIZER = "config.json", "vocabulary", "tokenizer.json"
END, START = "<|endoftext|>", "<|startoftranscript|>"
NORM = {"gamma": "weight", "beta": "bias"}


def is_ctranslate2_whisper(folder: Path) -> bool:
    """Whether CTranslate2's converter wrote the folder, from Whisper."""
    return (folder / "model.bin").is_file() and any(folder.glob(f"{VOCABULARY}.*"))


def convert_whisper(source: Path, out: Path) -> None:
    """Write a whole Whisper (encoder, decoder, tokenizer, word alignment) into the folder `out`.

    Weights stay in the precision that `source` has, so nothing is lost.

    Raises:
        MerError: a file is missing, or holds another kind of model.
    """
    model = read_model(source / "model.bin")
    if model.spec != SPEC:
        raise MerError(f"{source}/model.bin holds '{model.spec}', not Whisper")
    words, own = _vocabulary(source), _read_json(source / CONFIG)
    try:
        weights = dict(_weights(model))
        config = _config(model, words)
        generation = _generation(own, words)
    except KeyError as error:
        raise MerError(f"{source}: not a whole Whisper: {error.args[0]} is missing") from None
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    _write_json(out / CONFIG, config)
    _write_json(out / "generation_config.json", generation)
    _write_json(out / "preprocessor_config.json", _preprocessor(config))
    _write_json(out / "tokenizer_config.json", _tokenizer_config())
    (out / TOKENIZER).write_bytes(_bytes(source / TOKENIZER))


def _weights(model: Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and values in transformers' order of things."""
    for side in ("encoder", "decoder"):
        yield f"model.{side}.embed_positions.weight", model.floats(f"{side}/position_encodings/encodings")
        yield from _norm(model, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for layer in range(_depth(model, side)):
            yield from _block(model, f"{side}/layer_{layer}", f"model.{side}.layers.{layer}", cross=side == "decoder")
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            yield f"model.encoder.{name}.{part}", model.floats(f"encoder/{name}/{part}")
    yield "model.decoder.embed_tokens.weight", model.floats("decoder/embeddings/weight")


def _block(model: Model, ours: str, theirs: str, *, cross: bool) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from _norm(model, f"{ours}/self_attention/layer_norm", f"{theirs}.self_attn_layer_norm")
    # Queries, keys and values are one matrix; Whisper's keys have no bias, and CTranslate2 fills zeros in.
    yield from _linear(model, f"{ours}/self_attention/linear_0", f"{theirs}.self_attn", ("q_proj", "k_proj", "v_proj"))
    yield from _linear(model, f"{ours}/self_attention/linear_1", f"{theirs}.self_attn", ("out_proj",))
    if cross:
        yield from _norm(model, f"{ours}/attention/layer_norm", f"{theirs}.encoder_attn_layer_norm")
        yield from _linear(model, f"{ours}/attention/linear_0", f"{theirs}.encoder_attn", ("q_proj",))
        yield from _linear(model, f"{ours}/attention/linear_1", f"{theirs}.encoder_attn", ("k_proj", "v_proj"))
        yield from _linear(model, f"{ours}/attention/linear_2", f"{theirs}.encoder_attn", ("out_proj",))
    yield from _norm(model, f"{ours}/ffn/layer_norm", f"{theirs}.final_layer_norm")
    yield from _linear(model, f"{ours}/ffn/linear_0", theirs, ("fc1",))
    yield from _linear(model, f"{ours}/ffn/linear_1", theirs, ("fc2",))


def _norm(model: Model, ours: str, theirs: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, their_name in NORM.items():
        yield f"{theirs}.{their_name}", model.floats(f"{ours}/{name}")


def _linear(model: Model, ours: str, theirs: str, names: tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    weight, bias = (np.split(model.floats(f"{ours}/{part}"), len(names)) for part in ("weight", "bias"))
    for name, rows, offsets in zip(names, weight, bias, strict=True):
        yield f"{theirs}.{name}.weight", np.ascontiguousarray(rows)
        if name != "k_proj":
            yield f"{theirs}.{name}.bias", np.ascontiguousarray(offsets)


def _depth(model: Model, side: str) -> int:
    found = {int(m[1]) for name in model.variables if (m := re.match(rf"{side}/layer_(\d+)/", name))}
    return len(found)


def _config(model: Model, words: list[str]) -> dict[str, Any]:
    shapes = {name: value.shape for name, value in model.variables.items()}
    width, bins, _ = shapes["encoder/conv1/weight"]
    end = words.index(END)
    heads = {side: int(model.variables[f"{side}/num_heads"]) for side in ("encoder", "decoder")}
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "activation_function": "gelu",
        "d_model": width,
        "num_mel_bins": bins,
        "vocab_size": shapes["decoder/embeddings/weight"][0],
        "max_source_positions": shapes["encoder/position_encodings/encodings"][0],
        "max_target_positions": shapes["decoder/position_encodings/encodings"][0],
        **{f"{side}_layers": _depth(model, side) for side in heads},
        **{f"{side}_attention_heads": number for side, number in heads.items()},
        **{f"{side}_ffn_dim": shapes[f"{side}/layer_0/ffn/linear_0/weight"][0] for side in heads},
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": words.index(START),
        "torch_dtype": str(model.floats("encoder/conv1/weight").dtype),
    }


def _generation(own: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """What generation has to know of the tokens; a model of one language has no language tokens in use."""
    end, start = words.index(END), words.index(START)
    languages = {words[number]: number for number in own.get("lang_ids", [])}
    generation = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": start,
        "no_timestamps_token_id": words.index("<|notimestamps|>"),
        "prev_sot_token_id": words.index("<|startofprev|>"),
        "suppress_tokens": own.get("suppress_ids", []),
        "begin_suppress_tokens": own.get("suppress_ids_begin", []),
        "max_initial_timestamp_index": 50,
        "return_timestamps": False,
        "is_multilingual": len(languages) > 1,
    }
    if len(languages) > 1:
        generation["lang_to_id"] = languages
        generation["task_to_id"] = {name: words.index(f"<|{name}|>") for name in ("transcribe", "translate")}
    if own.get("alignment_heads"):
        generation["alignment_heads"] = own["alignment_heads"]
    return generation


def _preprocessor(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": config["num_mel_bins"],
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": config["max_source_positions"] * 2 * 160 // 16_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def _tokenizer_config() -> dict[str, Any]:
    ends = {f"{name}_token": END for name in ("bos", "eos", "unk", "pad")}
    return {"tokenizer_class": "WhisperTokenizer", "errors": "replace", "model_max_length": 1024, **ends}


def _vocabulary(source: Path) -> list[str]:
    """Tokens by number: a JSON list, or a line a token in older folders."""
    file = next(iter(sorted(source.glob(f"{VOCABULARY}.*"))), source / f"{VOCABULARY}.json")
    text = _bytes(file).decode("utf-8")
    words = json.loads(text) if file.suffix == ".json" else text.split("\n")
    for needed in (END, START):
        if needed not in words:
            raise MerError(f"{file}: no token {needed}")
    return words


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MerError(f"{file}: {error.strerror or error}") from None


def _read_json(file: Path) -> dict[str, Any]:
    return read_json(file)


def _write_json(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
