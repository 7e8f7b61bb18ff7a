"""Character n-grams, TF-IDF and a truncated SVD (latent semantic analysis): the text encoder that needs no weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from mer.encoders.base import Features, absent
from mer.params import TextParams
from mer.running.foreign import foreign

VERSION = 1
"""Raise when the same input and weights would give other features."""
GOLDEN = "9908f4152a955e89"
"""What a fixed input gave under this version: see tests/golden.py."""
CONFIG = "tfidf.json"
WEIGHTS = "tfidf.safetensors"


class TfidfTextEncoder:
    """Projects a sentence's TF-IDF vector on the corpus' main directions and scales the result to length 1.

    Characters, not words: Chinese has no spaces, and n-grams up to three cover its words without a segmenter.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        ngrams: tuple[int, int],
        idf: NDArray[np.float32],
        components: NDArray[np.float32],
    ) -> None:
        """From fitted parts: `vocabulary` of V n-grams, `idf` [V], `components` [D, V]."""
        self._vocabulary, self._ngrams = tuple(vocabulary), tuple(ngrams)
        self._idf, self._components = idf, components
        self._vectorizer = _vectorizer(ngrams, vocabulary=list(vocabulary) or ["\0"])
        self._vectorizer.idf_ = idf if len(idf) else np.ones(1, np.float32)
        self.dimensions = len(components)
        digest = hashlib.sha256(json.dumps([f"tfidf-{VERSION}", self._vocabulary, self._ngrams]).encode())
        digest.update(idf.tobytes() + components.tobytes())
        self.fingerprint = digest.hexdigest()

    @classmethod
    def fit(cls, texts: Sequence[str], params: TextParams) -> TfidfTextEncoder:
        """Fit on the texts of the labeled and unlabeled splits; never show it the test split.

        D is `text.dimensions`, or what the texts have of it. Texts without any content give an encoder
        of width 1 to which every text is absent.
        """
        texts = [text for text in texts if text.strip()]
        if not texts:
            return cls([], params.ngrams, np.zeros(0, np.float32), np.zeros((1, 0), np.float32))
        vectorizer = _vectorizer(params.ngrams, max_features=params.vocabulary)
        matrix = vectorizer.fit_transform(texts)
        components = _directions(matrix, params.dimensions, params.seed)
        return cls(
            vectorizer.get_feature_names_out().tolist(), params.ngrams, vectorizer.idf_.astype(np.float32), components
        )

    def encode(self, batch: Sequence[str]) -> list[Features]:
        if not len(batch):
            return []
        matrix = self._vectorizer.transform(batch)
        known = np.diff(matrix.indptr)
        projected = matrix[:, : len(self._vocabulary)] @ self._components.T
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        embeddings = (projected / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
        return [self._one(*item) for item in zip(batch, embeddings, known, lengths[:, 0], strict=True)]

    def _one(self, text: str, embedding: NDArray[np.float32], known: int, length: float) -> Features:
        if not text.strip():
            return absent(self.dimensions, "empty text")
        if length == 0:
            return absent(self.dimensions, "no n-gram of the text is in the vocabulary")
        return Features(embedding, frames=int(known), ok=True)

    def save(self, folder: str | Path) -> None:
        """Write the fitted encoder as JSON and safetensors."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"ngrams": self._ngrams, "vocabulary": self._vocabulary}
        (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
        save_file({"idf": self._idf, "components": np.ascontiguousarray(self._components)}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: str | Path) -> TfidfTextEncoder:
        """Read what `save` wrote; `MerError` names the folder where it is missing or damaged."""
        folder = Path(folder)
        with foreign(f"{folder}: not a fitted TF-IDF encoder"):
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            weights = load_file(folder / WEIGHTS)
            idf, components, words = weights["idf"], weights["components"], config["vocabulary"]
            if components.ndim != 2 or not idf.shape == components.shape[1:] == (len(words),):
                raise ValueError("its parts are not of one size")
            if not all(isinstance(word, str) for word in words):
                raise ValueError("its vocabulary is no text")
            if not (np.isfinite(idf).all() and np.isfinite(components).all()):
                raise ValueError("it holds values that are not finite numbers")
            encoder = cls(words, tuple(config["ngrams"]), idf, components)
            encoder.encode(["a"])
            return encoder


def _vectorizer(ngrams: tuple[int, int], **settings: object) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char", ngram_range=tuple(ngrams), sublinear_tf=True, lowercase=True, dtype=np.float32, **settings
    )


def _directions(matrix: sp.csr_matrix, dimensions: int, seed: int) -> NDArray[np.float32]:
    """[D, V]: the right singular vectors of the largest singular values, the largest entry of each positive."""
    dimensions = min(dimensions, *matrix.shape)
    # Sums in another order end in other bits: one thread gives the same bytes on any number of cores.
    with threadpool_limits(1):
        _, values, components = randomized_svd(matrix, dimensions, n_iter=7, random_state=seed)
    components = components[values > 1e-6 * values[0]]
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return np.ascontiguousarray(components * signs[:, None], np.float32)
