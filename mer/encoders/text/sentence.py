"""The multilingual Universal Sentence Encoder (Yang et al., 2019) in numpy: one vector a sentence, 16 languages.

Convolutions over words of 2, 3 and 5, their outputs summed over the sentence, then a small residual network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from mer.encoders.base import Features, absent
from mer.encoders.checkpoints.folder_check import check_values
from mer.encoders.checkpoints.pretrained import folder_digest
from mer.errors import MerError
from mer.params import TextParams
from mer.running.foreign import foreign, read_json
from mer.store.keys import digest

KEY = "text.encoder"
MODEL_TYPE = "universal-sentence-encoder"
VERSION = 1
"""Raise when the same texts and weights would give other features."""
ORDERS = ((2, 0), (3, 1), (5, 2))
"""Words that a convolution sees, and how many of them stand to the left of its own."""
UNKNOWN = 0
SPACE = "▁"
"""What sentencepiece writes for a space; alone it says nothing."""

Floats = NDArray[np.float32]


def is_sentence_encoder(folder: Path) -> bool:
    """Whether a folder holds this encoder."""
    try:
        return bool(read_json(folder / "config.json").get("model_type") == MODEL_TYPE)
    except MerError:
        return False


class SentenceEncoder:
    """Unit vectors of sentences; weights are loaded at the first `encode`."""

    def __init__(self, params: TextParams) -> None:
        """Raises `MerError` where the folder is damaged, or features of each token are asked for."""
        self._folder = Path(params.encoder)
        if params.frames:
            raise MerError(f"text.frames: {self._folder} gives one vector a sentence, none a token")
        config = read_json(self._folder / "config.json", f"{KEY}: {self._folder}/config.json")
        check_values(config, f"{KEY}: {self._folder}/config.json")
        with foreign(f"{KEY}: {self._folder}"):
            self.dimensions = int(config["hidden_size"])
            self._tokenizer: Any = Tokenizer.from_file(str(self._folder / "tokenizer.json"))

    @cached_property
    def fingerprint(self) -> str:
        return digest(MODEL_TYPE, VERSION, folder_digest(str(self._folder)))

    def encode(self, batch: Sequence[str]) -> list[Features]:
        """Features of each text; empty text, or text of which the vocabulary knows nothing, is absent."""
        return [self._one(text) for text in batch]

    def _one(self, text: str) -> Features:
        if not text.strip():
            return absent(self.dimensions, "empty text")
        ids = self._tokenizer.encode(text).ids
        if set(ids[1:-1]) <= {UNKNOWN, self._tokenizer.token_to_id(SPACE)}:
            return absent(self.dimensions, "no token of the text is in the vocabulary")
        return Features(self._network(np.asarray(ids)), frames=len(ids) - 2, ok=True)

    @cached_property
    def _network(self) -> Network:
        with foreign(f"{KEY}: {self._folder}/model.safetensors"):
            network = Network(load_file(self._folder / "model.safetensors"))
            found = network(np.zeros(3, np.int64))
            if found.shape != (self.dimensions,) or not np.isfinite(found).all():
                raise ValueError(f"it gives {list(found.shape)} instead of {self.dimensions} numbers")
        return network


class Network:
    """The forward pass; `weights` are named as in the package, the embeddings in one table of 8-bit numbers."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self._table, self._scale, self._low = weights["embedding"], weights["scale"], weights["lo"]
        self._epsilon = float(weights["eps"][0])
        orders = [order for order, _ in ORDERS]
        self._project = np.concatenate([weights[f"proj{order}"] for order in orders], 1)
        joined = [
            np.concatenate([weights[f"{name}{order}"] for order in orders]) for name in ("proj_b", "ln_g", "ln_b")
        ]
        self._offset, *self._first_norm = joined
        self._branches = [[weights[f"{name}_{order}"] for name in ("w1", "b1", "w2", "b2")] for order in orders]
        self._norm = weights["ln_g"], weights["ln_b"]
        self._mix, self._mix_bias = weights["cnn_W"], weights["cnn_b"]
        self._dense = [weights[name] for name in ("d0", "d1", "p1", "d2", "d3", "p3")]

    def __call__(self, ids: NDArray[np.int64]) -> Floats:
        """Unit vector [D] of the tokens [T], <s> and </s> included."""
        block = ids % len(self._scale)  # each block of rows has its own range
        words = self._table[ids] * self._scale[block, None] + self._low[block, None]  # [T, E]
        # One norm over what the three branches see, as in the package that ships the weights.
        projected = self._normed(words @ self._project + self._offset, *self._first_norm)
        parts = np.split(projected, len(ORDERS), 1)
        seen = [
            _branch(x, order, left, *parameters)
            for x, (order, left), parameters in zip(parts, ORDERS, self._branches, strict=True)
        ]
        tokens = self._normed(np.concatenate([words, *seen], 1), *self._norm)
        total = tokens.sum(0) @ self._mix + len(ids) * self._mix_bias
        return self._residual(total / np.sqrt(np.float32(len(ids))))

    def _residual(self, x: Floats) -> Floats:
        d0, d1, p1, d2, d3, p3 = self._dense
        y = np.maximum(x @ p1 + np.maximum(x @ d0, 0) @ d1, 0)
        z = np.tanh(y @ p3 + np.maximum(y @ d2, 0) @ d3)
        return np.asarray(z / np.sqrt(max(float(z @ z), self._epsilon)), np.float32)

    def _normed(self, x: Floats, gain: Floats, shift: Floats) -> Floats:
        centred = x - x.mean(1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(1, keepdims=True) + self._epsilon)
        return np.asarray(centred / deviation * gain + shift, np.float32)


def _branch(x: Floats, order: int, left: int, *parameters: Floats) -> Floats:
    """[T, C] -> [T, C]: two residual convolutions over `order` words each."""
    first, first_bias, second, second_bias = parameters
    x = x + np.maximum(_windows(x, order, left) @ first + first_bias, 0)
    return np.asarray(x + np.maximum(_windows(x, order, left) @ second + second_bias, 0))


def _windows(x: Floats, order: int, left: int) -> Floats:
    """[T, C] -> [T, order * C]: each word with its neighbours, zeros beyond the sentence."""
    padded = np.pad(x, ((left, order - 1 - left), (0, 0)))
    return np.concatenate([padded[start : start + len(x)] for start in range(order)], 1)
