"""The multilingual sentence encoder: a tiny one against a slow transcription, the real one against its package."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.sentence import SentenceEncoder
from mer.errors import MerError
from mer.params import TextParams
from mer.weights.sentence_encoder import convert_sentence_encoder, read_sentencepiece

PIECES = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -3.0), ("▁ja", -2.0), ("▁nein", -2.5), ("n", -4.0), ("我", -4.5), ("j", -6.0), ("a", -5.0), ("▁ja▁nein", -9.0)]  # noqa: E501  # fmt: skip
BLOCKS, E, C, D = 3, 6, 4, 5
PUBLISHED = {  # entries 0, 100, 300, 511 of what the package's own forward gives
    "我没事，真的很开心！": [-0.06275, 0.04238, -0.0265, 0.00073],
    "Das will sie am Mittwoch abgeben.": [-0.04137, -0.06712, 0.02361, 0.00874],
    "I am so happy for you!": [-0.038, 0.01753, -0.05144, -0.0465],
}


def field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def sentencepiece_model() -> bytes:
    """A unigram model whose normaliser changes nothing: an empty double array."""
    pieces = [field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score)) for text, score in PIECES]
    charsmap = struct.pack("<I", 1024) + bytes(1024)
    return b"".join(pieces) + field(2, b"\x08\x01") + field(3, field(1, b"identity") + field(2, charsmap))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("use")
    rng = np.random.default_rng(0)
    rows = -(-len(PIECES) // BLOCKS)
    arrays = {f"q{i + 1}": rng.integers(0, 64, (rows, E)).astype(np.uint8) for i in range(BLOCKS)}
    arrays |= {"lo": rng.normal(size=BLOCKS), "scale": rng.uniform(0.01, 0.1, BLOCKS), "bits": np.array([6], np.int8)}
    shapes = {"ln_g": (E + 3 * C,), "ln_b": (E + 3 * C,), "cnn_W": (E + 3 * C, D), "cnn_b": (D,)}
    shapes |= {"d0": (D, 3), "d1": (3, 3), "p1": (D, 3), "d2": (3, D), "d3": (D, D), "p3": (3, D)}
    for n in (2, 3, 5):
        shapes |= {f"proj{n}": (E, C), f"proj_b{n}": (C,), f"ln_g{n}": (C,), f"ln_b{n}": (C,)}
        shapes |= {f"w1_{n}": (n * C, C), f"b1_{n}": (C,), f"w2_{n}": (n * C, C), f"b2_{n}": (C,)}
    arrays |= {name: rng.normal(size=shape) for name, shape in shapes.items()}
    arrays = {name: value if value.dtype.kind in "ui" else value.astype(np.float32) for name, value in arrays.items()}
    np.savez_compressed(folder / "weights.npz", **arrays, eps=np.float64(1e-6))
    (folder / "sp.model").write_bytes(sentencepiece_model())
    return folder


def oracle(arrays, ids: list[int]) -> np.ndarray:
    """Word by word, from the description of the network."""
    w = {name: value.astype(np.float64) for name, value in arrays.items() if value.dtype.kind == "f"}

    def norm(x, gain, shift):
        return (x - x.mean()) / np.sqrt(x.var() + w["eps"]) * gain + shift

    def convolution(rows, n, left, matrix, bias):
        out = []
        for t in range(len(rows)):
            seen = [rows[t - left + k] if 0 <= t - left + k < len(rows) else np.zeros(C) for k in range(n)]
            out.append(np.maximum(np.concatenate(seen) @ matrix + bias, 0))
        return out

    words = [arrays[f"q{i % BLOCKS + 1}"][i // BLOCKS] * w["scale"][i % BLOCKS] + w["lo"][i % BLOCKS] for i in ids]

    def wide(name):
        return np.concatenate([w[f"{name}{n}"] for n in (2, 3, 5)], axis=-1)

    normed = [norm(word @ wide("proj") + wide("proj_b"), wide("ln_g"), wide("ln_b")) for word in words]
    branches = []
    for place, (n, left) in enumerate(((2, 0), (3, 1), (5, 2))):
        x = [row[place * C : (place + 1) * C] for row in normed]
        for layer in ("1", "2"):
            seen = convolution(x, n, left, w[f"w{layer}_{n}"], w[f"b{layer}_{n}"])
            x = [a + b for a, b in zip(x, seen, strict=True)]
        branches.append(x)
    tokens = [
        norm(np.concatenate([word, *rest]), w["ln_g"], w["ln_b"]) for word, *rest in zip(words, *branches, strict=True)
    ]
    x = sum(token @ w["cnn_W"] + w["cnn_b"] for token in tokens) / np.sqrt(len(ids))
    y = np.maximum(x @ w["p1"] + np.maximum(x @ w["d0"], 0) @ w["d1"], 0)
    z = np.tanh(y @ w["p3"] + np.maximum(y @ w["d2"], 0) @ w["d3"])
    return z / np.sqrt(max(z @ z, w["eps"]))


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    convert_sentence_encoder(source, out)
    return out


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("ja", [1, 4, 2]),
        ("ja nein", [1, 4, 5, 2]),
        ("  ja   nein ", [1, 4, 5, 2]),
        ("nein 我 nn", [1, 5, 3, 7, 3, 6, 6, 2]),
    ],
)
def test_tokens_and_vector_are_those_of_the_description(folder, source, text, ids):
    encoder = load_text_encoder(TextParams(encoder=str(folder)))
    assert isinstance(encoder, SentenceEncoder)
    assert read_sentencepiece(source / "sp.model").encode(text).ids == ids
    (found,) = encoder.encode([text])
    with np.load(source / "weights.npz") as arrays:
        np.testing.assert_allclose(found.embedding, oracle(dict(arrays), ids), atol=1e-5)
    assert (found.ok, found.frames, encoder.dimensions) == (True, len(ids) - 2, D)


def test_what_a_sentence_gets_does_not_depend_on_the_batch_and_nothing_known_is_absent(folder):
    encoder = load_text_encoder(TextParams(encoder=str(folder)))
    texts = ["ja nein ja", "", "我我", "zzz", "   "]
    together = encoder.encode(texts)
    assert [one.ok for one in together] == [True, False, True, False, False]
    assert "vocabulary" in together[3].note
    for text, one in zip(texts, together, strict=True):
        assert encoder.encode([text])[0].embedding.tobytes() == one.embedding.tobytes()


def test_features_of_each_token_are_refused(folder):
    with pytest.raises(MerError, match=r"text\.frames"):
        load_text_encoder(TextParams(encoder=str(folder), frames=True))


def test_a_pickle_in_the_weights_is_not_read(source, tmp_path):
    (tmp_path / "sp.model").write_bytes((source / "sp.model").read_bytes())
    np.savez(tmp_path / "weights.npz", lo=np.array([{}], dtype=object))
    with pytest.raises(MerError, match=r"weights\.npz: not the sentence encoder's weights"):
        convert_sentence_encoder(tmp_path, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x0a\x7f", b"no model at all", b"\xff" * 40])
def test_a_damaged_vocabulary_is_one_line(tmp_path, content):
    (tmp_path / "sp.model").write_bytes(content)
    with pytest.raises(MerError, match=r"sp\.model: not a sentencepiece model"):
        read_sentencepiece(tmp_path / "sp.model")


def test_a_damaged_folder_is_one_line(folder, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((Path(folder) / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(MerError, match=r"text\.encoder: .*model\.safetensors"):
        load_text_encoder(TextParams(encoder=str(tmp_path))).encode(["ja"])


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_real_encoder_gives_what_its_package_gave(encoders, text):
    (found,) = load_text_encoder(TextParams(encoder=str(encoders("use-multilingual")))).encode([text])
    np.testing.assert_allclose(found.embedding[[0, 100, 300, 511]], PUBLISHED[text], atol=1e-4)
    assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-4)
