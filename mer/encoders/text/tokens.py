"""From text to token ids: with a folder's own tokenizer, unpadded, the sentence's own tokens marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from mer.encoders.checkpoints.pretrained import first_line
from mer.errors import MerError

UNBOUNDED = 1_000_000
"""A tokenizer that does not know the longest input says some astronomical number."""


@dataclass(frozen=True)
class Tokens:
    """One text: `ids`, and `own`, False for [CLS], [SEP], BOS and whatever else the tokenizer put around it."""

    ids: list[int]
    own: list[bool]
    cut: bool
    """The text was longer than the model's longest input, and its end is missing."""


class Tokenizer:
    """The tokenizer of a Hugging Face folder."""

    def __init__(self, folder: str, key: str, *, longest: int | None, trust_remote_code: bool) -> None:
        """Raises `MerError` where the folder has no tokenizer; `longest` is what the model takes, if it has a bound."""
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
        except Exception as error:  # each tokenizer library raises its own types
            raise MerError(f"{key}: {folder}: no usable tokenizer: {first_line(error)}") from None
        if len(self._tokenizer) <= len(self._tokenizer.all_special_ids):
            # transformers makes an empty tokenizer of a folder that has none.
            raise MerError(f"{key}: {folder}: no usable tokenizer: it has no vocabulary")
        bounds = [bound for bound in (longest, self._tokenizer.model_max_length) if bound and bound < UNBOUNDED]
        self._longest = min(bounds, default=None)
        self.padding = self._tokenizer.pad_token_id or 0
        self.size = len(self._tokenizer)

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=True, return_special_tokens_mask=True, verbose=False)
        pairs = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
        return [self._tokens(ids, [not special for special in mask]) for ids, mask in pairs]

    def only_unknown(self, tokens: Tokens) -> bool:
        """Whether the sentence has no token of its own that the vocabulary knows."""
        unknown = self._tokenizer.unk_token_id
        return all(number == unknown for number, own in zip(tokens.ids, tokens.own, strict=True) if own)

    def _tokens(self, ids: list[int], own: list[bool]) -> Tokens:
        """Drop own tokens from the end until the model can take the rest, the special ones around them kept."""
        surplus = 0 if self._longest is None else max(0, len(ids) - self._longest)
        places = [place for place, mine in enumerate(own) if mine]
        dropped = set(places[max(0, len(places) - surplus) :])
        kept = [place for place in range(len(ids)) if place not in dropped]
        return Tokens([ids[place] for place in kept], [own[place] for place in kept], bool(surplus))


def pad(batch: Sequence[Tokens], padding: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [B, T], attention mask [B, T] and own tokens [B, T] of a batch, padded on the right."""
    longest = max(len(tokens.ids) for tokens in batch)
    ids = torch.full((len(batch), longest), padding)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    own = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens.ids)] = torch.tensor(tokens.ids)
        mask[row, : len(tokens.ids)] = 1
        own[row, : len(tokens.ids)] = torch.tensor(tokens.own)
    return ids.to(device), mask.to(device), own.to(device)
