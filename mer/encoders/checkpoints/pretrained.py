"""Folders of pretrained models in the Hugging Face layout: read, checked, and never fetched from a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from mer.compute.device import pick_device
from mer.encoders.checkpoints.folder_check import check_finite, check_folder
from mer.encoders.checkpoints.pickles import check_archive
from mer.errors import MerError, first_few
from mer.running.foreign import foreign, said
from mer.store.keys import FileDigests

HEADS = frozenset(
    {
        *("cls", "lm_head", "classifier", "score", "qa_outputs", "pooler", "dropout", "predictions", "sop_classifier"),
        *("discriminator_predictions", "generator_predictions", "generator_lm_head", "embed_out", "lm_predictions"),
        *("vocab_transform", "vocab_layer_norm", "vocab_projector", "mask_predictions", "pre_classifier", "head"),
        *("text_model", "text_projection", "visual_projection", "logit_scale", "logit_bias", "decoder", "mask_token"),
        *("encoder_to_decoder", "fc_norm", "proj_out", "seq_relationship", "bias"),
    }
)
"""First parts of the names of weights that stand on top of a model, or beside it, in a folder of a larger one."""
WRAPPERS = frozenset({"module", "model"})
"""Names that only wrap a model."""
DECIDING = (".json", ".safetensors", ".bin", ".txt", ".model", ".py", ".jinja")
"""Suffixes of the files that decide what a folder computes: configuration, weights, tokenizer, code."""


def read_config(folder: str, key: str, *, trust_remote_code: bool = False) -> PretrainedConfig:
    """The model configuration of a folder; `MerError` names the params `key` where there is none."""
    check_model_folder(Path(folder), key)
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers raises many types for a config it does not know
        raise MerError(f"{key}: {folder}/config.json: {first_line(error)}") from None


def load_model(
    kind: Any, folder: str, key: str, *, dtype: str, device: str, unused: Sequence[str] = (), **options: Any
) -> PreTrainedModel:
    """The model of class `kind` in evaluation mode, on `device`, or dealt over all devices for 'sharded'.

    transformers fills weights that the folder lacks, or has in another size, with random ones; here that is an
    error, save for weights whose names start with one of `unused`, which the caller does not use.

    Raises:
        MerError: the folder's weights are missing, damaged or another model's; the line names the params `key`.
    """
    placed = {"device_map": "auto"} if device == "sharded" else {}
    for file in sorted(Path(folder).glob("*.bin")):
        check_archive(file)
    for file in sorted(Path(folder).glob("*.safetensors")):
        _check_types(file, f"{key}: {folder}/{file.name}")
    try:
        with quiet():
            model, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **placed,
                **options,
            )
    except Exception as error:  # OSError, RuntimeError, safetensors' and pickle's own errors, ImportError of accelerate
        raise MerError(f"{key}: {folder}: {first_line(error)}") from None
    lacking = {str(name) for name in report["missing_keys"]} | {str(name) for name, *_ in report["mismatched_keys"]}
    wrong = sorted(name for name in lacking if not name.startswith(tuple(unused)))
    if wrong:
        raise MerError(f"{key}: {folder}: weights of another kind of model: '{wrong[0]}' is missing or of another size")
    check_finite(dict(model.named_parameters()), f"{key}: {folder}")
    if extra := unread_weights(model, report["unexpected_keys"]):
        raise MerError(
            f"{key}: {folder}: '{model.config.model_type}' does not read {len(extra)} of the weights, so the features "
            f"would be others than the model's: {first_few(extra)}"
        )
    return (model if placed else model.to(pick_device(device, key))).eval()


def _check_types(file: Path, where: str) -> None:
    """Raise `MerError` for weights that transformers would cut down to real numbers without a word."""
    with foreign(f"{where}: not a file of weights"), safe_open(str(file), framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            kind = str(weights.get_slice(name).get_dtype())
            if kind.startswith("C"):
                raise MerError(f"{where}: weight '{name:.100}' is of a kind that no model computes with ({kind})")


def unread_weights(model: PreTrainedModel, unexpected: Iterable[str]) -> list[str]:
    """Of the names in a folder that the model has no place for: those that belong inside of it.

    Adapters, prompts and extra norms do; a head that was trained on top of the model does not.
    """
    base = {name for name, _ in model.base_model.named_children()}

    def inside(name: str) -> bool:
        parts = name.split(".")
        while parts and parts[0] in WRAPPERS | {model.base_model_prefix}:
            del parts[0]
        return bool(parts) and parts[0] not in HEADS - base

    return sorted(name for name in map(str, unexpected) if inside(name))


def check_model_folder(folder: Path, key: str) -> None:
    """Raises `MerError` where a folder lacks a configuration, asks for what is not run, or holds an adapter."""
    if not (folder / "config.json").is_file():
        raise MerError(f"{key}: {folder} has no config.json; a Hugging Face folder is expected")
    check_folder(folder, key)
    refuse_peft(folder, key)


def refuse_peft(folder: Path, key: str) -> None:
    """Raises `MerError` for an adapter beside the model (PEFT: LoRA, prompts), which would be left out."""
    if (folder / "adapter_config.json").is_file():
        raise MerError(
            f"{key}: {folder} holds an adapter beside the model (adapter_config.json); merge it into the weights "
            "first: peft's merge_and_unload(), then save_pretrained()"
        )


def folder_digest(folder: str) -> str:
    """SHA-256, in hex, of the names and bytes of the files in a folder that decide what its model computes."""
    digest = hashlib.sha256()
    with FileDigests() as digests:  # unchanged files are not read again
        for path in sorted(Path(folder).iterdir()):
            if path.suffix in DECIDING:
                digest.update(path.name.encode() + b"\0" + bytes.fromhex(digests.of(path)))
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """What an exception says, cut to one line."""
    lines = str(error).strip().splitlines()
    return said(Exception(lines[0])) if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and loading reports off the terminal: what matters in them is checked."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
