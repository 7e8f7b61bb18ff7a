"""Write a model.bin as CTranslate2's converter does, from transformers' Whisper: the inverse of what is tested."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

CODES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "uint16": 5}


def write_model(path: Path, variables: dict[str, np.ndarray], *, spec="WhisperSpec", version=6, aliases=()) -> None:
    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    content = struct.pack("<I", version) + name(spec) + struct.pack("<I", 3) + struct.pack("<I", len(variables))
    for key, value in sorted(variables.items()):
        content += name(key) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        content += struct.pack("<BI", CODES[str(value.dtype)], value.nbytes) + value.tobytes()
    content += struct.pack("<I", len(aliases)) + b"".join(name(a) + name(b) for a, b in aliases)
    path.write_bytes(content)


def whisper_variables(model, dtype="float32") -> dict[str, np.ndarray]:
    """transformers' weights under CTranslate2's names, queries, keys and values in one matrix."""
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    variables: dict[str, np.ndarray] = {}

    def norm(ours: str, theirs: str) -> None:
        variables[f"{ours}/gamma"], variables[f"{ours}/beta"] = weights[f"{theirs}.weight"], weights[f"{theirs}.bias"]

    def linear(ours: str, *theirs: str) -> None:
        biases = [weights.get(f"{one}.bias", np.zeros(len(weights[f"{one}.weight"]), np.float32)) for one in theirs]
        variables[f"{ours}/weight"] = np.concatenate([weights[f"{one}.weight"] for one in theirs])
        variables[f"{ours}/bias"] = np.concatenate(biases)

    for side in ("encoder", "decoder"):
        variables[f"{side}/position_encodings/encodings"] = weights[f"model.{side}.embed_positions.weight"]
        variables[f"{side}/num_heads"] = np.array(getattr(model.config, f"{side}_attention_heads"), np.int16)
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for number in range(getattr(model.config, f"{side}_layers")):
            ours, theirs = f"{side}/layer_{number}", f"model.{side}.layers.{number}"
            norm(f"{ours}/self_attention/layer_norm", f"{theirs}.self_attn_layer_norm")
            linear(f"{ours}/self_attention/linear_0", *(f"{theirs}.self_attn.{x}_proj" for x in "qkv"))
            linear(f"{ours}/self_attention/linear_1", f"{theirs}.self_attn.out_proj")
            if side == "decoder":
                norm(f"{ours}/attention/layer_norm", f"{theirs}.encoder_attn_layer_norm")
                linear(f"{ours}/attention/linear_0", f"{theirs}.encoder_attn.q_proj")
                linear(f"{ours}/attention/linear_1", *(f"{theirs}.encoder_attn.{x}_proj" for x in "kv"))
                linear(f"{ours}/attention/linear_2", f"{theirs}.encoder_attn.out_proj")
            norm(f"{ours}/ffn/layer_norm", f"{theirs}.final_layer_norm")
            linear(f"{ours}/ffn/linear_0", f"{theirs}.fc1")
            linear(f"{ours}/ffn/linear_1", f"{theirs}.fc2")
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            variables[f"encoder/{conv}/{part}"] = weights[f"model.encoder.{conv}.{part}"]
    variables["decoder/embeddings/weight"] = weights["model.decoder.embed_tokens.weight"]
    return {key: value.astype(dtype) if value.dtype == np.float32 else value for key, value in variables.items()}
