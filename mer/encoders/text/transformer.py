"""Language models from Hugging Face folders: the BERT family and decoder LLMs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM, PretrainedConfig

from mer.compute.device import inference
from mer.encoders.base import Features, absent, kept_frames
from mer.encoders.batching import batches
from mer.encoders.checkpoints.coverage import prove_all_read
from mer.encoders.checkpoints.pretrained import folder_digest, load_model, read_config
from mer.encoders.packed import pack_linear_layers
from mer.encoders.text.tokens import Tokenizer, Tokens, pad
from mer.errors import MerError
from mer.params import TextParams
from mer.running.foreign import foreign
from mer.store.keys import digest

KEY = "text.encoder"
VERSION = 2
"""Raise when the same texts, weights and params would give other features."""
GOLDEN = "580368294638a985"
"""What a fixed input gave under this version: see tests/golden.py."""


class TransformerTextEncoder:
    """The sum of the chosen blocks' outputs, averaged over the sentence's own tokens.

    That is the published recipe (the last four blocks; [CLS], [SEP] and BOS left out of the average). Making one
    reads configuration and tokenizer; the weights are loaded at the first `encode`.
    """

    def __init__(self, params: TextParams) -> None:
        with foreign(f"{KEY}: {params.encoder}"):
            self._read(params)

    def _read(self, params: TextParams) -> None:
        self._params = params
        folder = params.encoder
        self._config = _text_config(folder, params)
        self._tokenizer = Tokenizer(
            folder, KEY, longest=_longest(self._config), trust_remote_code=params.trust_remote_code
        )
        self.dimensions = int(self._config.hidden_size)
        depth = int(self._config.num_hidden_layers)
        for layer in params.layers:
            if not -depth <= layer < depth:
                raise MerError(f"text.layers: {layer} is out of range, {folder} has {depth} blocks")
        # Hidden state 0 is the embedding of the tokens, hidden state i + 1 the output of block i.
        self._states = [layer % depth + 1 for layer in params.layers]

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the folder's files and of the parameters that decide the output, beyond a float's last bits."""
        decides = self._params.model_dump(include={"layers", "frames", "dtype"})
        return digest("text", VERSION, folder_digest(self._params.encoder), decides)

    def encode(self, batch: Sequence[str]) -> list[Features]:
        """Features of each text; empty text, or text of which the vocabulary knows nothing, is absent."""
        results = [absent(self.dimensions, "empty text") for _ in batch]
        present = [index for index, text in enumerate(batch) if text.strip()]
        tokens = dict(zip(present, self._tokenizer([batch[index] for index in present]), strict=True))
        for index in present:
            if self._tokenizer.only_unknown(tokens[index]):
                results[index] = absent(self.dimensions, "no token of the text is in the vocabulary")
                del tokens[index]
        indices = list(tokens)
        for group in batches([len(tokens[index].ids) for index in indices], self._params.batch_tokens):
            some = [indices[place] for place in group]
            for index, features in zip(some, self._forward([tokens[index] for index in some]), strict=True):
                results[index] = features
        return results

    def _forward(self, batch: Sequence[Tokens]) -> list[Features]:
        ids, mask, own = pad(batch, self._tokenizer.padding, self._model.device)
        with inference():
            states = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            summed = _sum([states[number] for number in self._states], ids.device)  # [B, T, D]
        return [self._features(row[keep], one.cut) for row, keep, one in zip(summed, own, batch, strict=True)]

    def _features(self, values: Tensor, cut: bool) -> Features:
        """From the sentence's own tokens, float32 [T, D]."""
        kept = kept_frames(values.cpu().numpy()) if self._params.frames else None
        note = f"only the first {len(values)} tokens" if cut else ""
        return Features(values.mean(dim=0).cpu().numpy(), frames=len(values), ok=True, values=kept, note=note)

    @cached_property
    def _model(self) -> Any:
        params = self._params
        model: Any = load_model(
            _model_class(self._config),
            params.encoder,
            KEY,
            dtype=params.dtype,
            device=params.device,
            unused=("pooler.",),
            trust_remote_code=params.trust_remote_code,
        )
        where = f"{KEY}: {params.encoder}"
        rows = model.get_input_embeddings().num_embeddings
        if self._tokenizer.size > rows:
            raise MerError(f"{where}: the tokenizer has {self._tokenizer.size} words, the model {rows}")
        with foreign(f"{where}: the model does not run"):
            prove_all_read(model, lambda: self._probe(model), where)
            if not params.trust_remote_code and params.device != "sharded":
                pack_linear_layers(model)
                self._probe(model)
        return model

    def _probe(self, model: Any) -> None:
        """Run the model once on a token: what does not fit together raises here, not at the first clip."""
        ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        with inference():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
            found = _sum([states[number] for number in self._states], ids.device)
        if found.shape != (1, 1, self.dimensions) or not torch.isfinite(found).all():
            raise ValueError(f"it gives {list(found.shape)} instead of numbers [1, 1, {self.dimensions}]")


def _text_config(folder: str, params: TextParams) -> PretrainedConfig:
    config = read_config(folder, KEY, trust_remote_code=params.trust_remote_code)
    wrong = config.is_encoder_decoder or not getattr(config, "vocab_size", 0) or hasattr(config, "vision_config")
    if wrong or not hasattr(config, "num_hidden_layers"):
        raise MerError(f"{KEY}: {folder} holds '{config.model_type}', which is neither a BERT nor a decoder of text")
    return config


def _model_class(config: PretrainedConfig) -> Any:
    """AutoModel, unless the folder's own code offers nothing but the model with its language head (Baichuan)."""
    own = getattr(config, "auto_map", None) or {}
    return AutoModelForCausalLM if own and "AutoModel" not in own and "AutoModelForCausalLM" in own else AutoModel


def _longest(config: PretrainedConfig) -> int | None:
    """Tokens that the model takes at most; None for relative positions."""
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    # RoBERTa and its kin number positions from the padding's id on.
    shifted = any(name in config.model_type for name in ("roberta", "camembert", "data2vec-text", "xmod", "longformer"))
    return int(positions) - (int(config.pad_token_id) + 1 if shifted else 0)


def _sum(states: Sequence[Tensor], device: torch.device) -> Tensor:
    """In float32, on one device: the blocks of a sharded model live on several."""
    total = states[0].float().to(device)
    for state in states[1:]:
        total = total + state.float().to(device)
    return total
