"""fairseq's HuBERT and wav2vec 2.0 checkpoints in the names and shapes of transformers' models.

fairseq (Ott et al., 2019) is unmaintained; what people have are its `.pt` files. Only their plain contents are read
here: the configuration (`cfg`, or `args` in files from before 2021) and the weights.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import HubertConfig, PretrainedConfig, Wav2Vec2Config

from mer.errors import MerError

NORMALIZE_EPSILON = 1e-5
"""fairseq normalises a waveform with `layer_norm`, whose epsilon is larger than transformers' 1e-7."""

MOST_CONVOLUTIONS = 64
LONGEST_EXPRESSION = 10_000
"""Characters of `conv_feature_layers`."""

_FAMILIES: dict[str, type[PretrainedConfig]] = {"hubert": HubertConfig, "wav2vec2": Wav2Vec2Config}

NO_OTHER = (("conv_pos_batch_norm", False),)
"""Another. Batch norm before the positional convolution is read from Hugging Face folders only."""
_HEAD = re.compile(r"label_embs_concat$|final_proj\.|target_glu\.|quantizer\.|project_q\.|_codebook")
"""Weights that only pre-training uses: cluster embeddings, projections and the quantizer."""

_RENAMES = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
    (r"^(encoder\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.layer_norm."),
    (r"^(encoder\.layers\.\d+)\.fc1\.", r"\1.feed_forward.intermediate_dense."),
    (r"^(encoder\.layers\.\d+)\.fc2\.", r"\1.feed_forward.output_dense."),
)


def convert_config(checkpoint: Mapping[str, Any], *, source: str) -> tuple[PretrainedConfig, bool]:
    """transformers' configuration of a fairseq checkpoint, and whether its waveforms are normalised first.

    Raises:
        MerError: the file holds no configuration, or one that transformers' models cannot express.
    """
    model, task = _sections(checkpoint, source)
    name = str(model.get("_name") or model.get("arch"))
    if name.endswith(("_ctc", "_seq2seq")):
        raise MerError(
            f"{source}: fine-tuned for speech recognition ('{name}'); use the pre-trained checkpoint it started from"
        )
    if name not in _FAMILIES:
        raise MerError(f"{source}: fairseq model '{name}' is none of {', '.join(_FAMILIES)}")
    for key, usual in (("layer_type", "transformer"), ("pos_enc_type", "abs"), ("pos_conv_depth", 1), *NO_OTHER):
        if model.get(key, usual) != usual:
            raise MerError(f"{source}: {key} = {model[key]!r} is not supported (only {usual!r})")

    convolutions = parse_convolutions(
        model.get("conv_feature_layers", "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"), source=source
    )
    width, kernel, stride = (list(column) for column in zip(*convolutions, strict=True))
    config = _FAMILIES[name](
        conv_dim=width,
        conv_kernel=kernel,
        conv_stride=stride,
        num_feat_extract_layers=len(convolutions),
        conv_bias=model.get("conv_bias", False),
        feat_extract_norm="layer" if model.get("extractor_mode", "default") == "layer_norm" else "group",
        hidden_size=model.get("encoder_embed_dim", 768),
        num_hidden_layers=model.get("encoder_layers", 12),
        num_attention_heads=model.get("encoder_attention_heads", 12),
        intermediate_size=model.get("encoder_ffn_embed_dim", 3072),
        hidden_act=model.get("activation_fn", "gelu"),
        do_stable_layer_norm=model.get("layer_norm_first", False),
        num_conv_pos_embeddings=model.get("conv_pos", 128),
        num_conv_pos_embedding_groups=model.get("conv_pos_groups", 16),
        hidden_dropout=model.get("dropout", 0.1),
        attention_dropout=model.get("attention_dropout", 0.1),
        activation_dropout=model.get("activation_dropout", 0.0),
        feat_proj_dropout=model.get("dropout_input", 0.0),
        layerdrop=model.get("encoder_layerdrop", 0.0),
    )
    return config, bool(task.get("normalize", False))


def convert_weights(weights: Mapping[str, Tensor], config: PretrainedConfig) -> dict[str, Tensor]:
    """Weights under transformers' names; those of the pre-training head are left out."""
    converted = {_rename(name): tensor for name, tensor in weights.items() if not _HEAD.match(name)}
    projection = "feature_projection.projection."
    if projection + "weight" not in converted and config.conv_dim[-1] == config.hidden_size:
        # fairseq projects only between different widths; transformers always does
        converted[projection + "weight"] = torch.eye(config.hidden_size)
        converted[projection + "bias"] = torch.zeros(config.hidden_size)
    return converted


def parse_convolutions(text: str, *, source: str) -> list[tuple[int, int, int]]:
    """Read fairseq's `conv_feature_layers`, a Python expression that fairseq itself passes to `eval`.

    >>> parse_convolutions("[(512, 10, 5)] + [(512, 3, 2)] * 2", source="")
    [(512, 10, 5), (512, 3, 2), (512, 3, 2)]
    """
    try:
        if len(text) > LONGEST_EXPRESSION:
            raise ValueError("too long")
        layers = [(int(width), int(kernel), int(stride)) for width, kernel, stride in _value(ast.parse(text).body[0])]
    except (SyntaxError, ValueError, TypeError, IndexError, RecursionError, MemoryError):
        shown = repr(text)[:100]
        raise MerError(f"{source}: conv_feature_layers is not a list of (width, kernel, stride): {shown}") from None
    if not layers:
        raise MerError(f"{source}: conv_feature_layers is empty")
    return layers


def _value(node: ast.AST) -> Any:
    """Literals, and lists joined by `+` or repeated by `*`; nothing else."""
    match node:
        case ast.Expr(value=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int() as times)) if 0 <= times <= 64:
            items = _value(left)
            if not isinstance(items, list) or len(items) * times > MOST_CONVOLUTIONS:
                raise ValueError("too many")
            return items * times
        case ast.expr():
            return ast.literal_eval(node)
    raise ValueError("not an expression")


def _sections(checkpoint: Mapping[str, Any], source: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The `model` and `task` sections of `cfg`; the older `args` holds both in one namespace."""
    cfg, args = checkpoint.get("cfg"), checkpoint.get("args")
    if isinstance(cfg, Mapping) and cfg.get("model") is not None:
        return _mapping(cfg["model"]), _mapping(cfg.get("task") or {})
    if args is not None:
        return _mapping(args), _mapping(args)
    raise MerError(f"{source}: holds weights but no fairseq configuration ('cfg' or 'args')")


def _mapping(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else vars(section)


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name
