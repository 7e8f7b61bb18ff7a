"""Text encoders on CMU-MOSI's transcripts: weighted-F1 on its official test split, all labels or a twentieth.

    python -m benchmarks.text_encoders encoders/minilm encoders/use-multilingual

A logistic regression (C = .01) on vectors standardised over all clips, each encoder alone and with the 73 audio
features that come with the corpus. Few labels: the mean of ten draws from the train split.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmarks.corpora import shared_data
from benchmarks.tables import markdown
from mer.encoders.text.load import load_text_encoder
from mer.errors import MerError
from mer.params import TextParams

SHARE, DRAWS = 0.05, 10
Vectors = NDArray[np.float32]


def standardised(vectors: Vectors) -> Vectors:
    deviation = vectors.std(0)
    return np.asarray((vectors - vectors.mean(0)) / np.where(deviation > 0, deviation, 1), np.float32)


def scores(
    vectors: Vectors, positive: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> list[str]:
    """Weighted-F1 on test, trained on all of `train`, then as the mean and deviation of draws from it."""

    def score(rows: NDArray[np.int64]) -> float:
        model = LogisticRegression(C=0.01, max_iter=2000).fit(vectors[rows], positive[rows])
        return float(f1_score(positive[test], model.predict(vectors[test]), average="weighted"))

    few = [np.random.default_rng(draw).permutation(train)[: round(SHARE * len(train))] for draw in range(DRAWS)]
    drawn = [score(rows) for rows in few]
    return [f"{score(train):.3f}", f"{np.mean(drawn):.3f} ({np.std(drawn):.3f})"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+", help="folders for text.encoder")
    arguments = parser.parse_args()
    path = shared_data() / "mosi" / "utterances.parquet"
    if not path.exists():
        raise MerError(f"{path} is missing; set MER_SHARED_DATA to the folder that holds mosi/")
    rows = pd.read_parquet(path)
    positive = (rows["label"] == "positive").to_numpy().astype(np.int64)
    train, test = (np.flatnonzero(rows["split"] == split) for split in ("train", "test"))
    audio = standardised(np.stack(list(rows["audio"])))
    table = []
    for name in arguments.encoders:
        found = load_text_encoder(TextParams(encoder=name)).encode(list(rows["transcript"]))
        text = standardised(np.stack([of.embedding for of in found]))
        for views, vectors in (("text", text), ("text + audio", np.concatenate([text, audio], 1))):
            table.append([name, views, *scores(vectors, positive, train, test)])
            print(table[-1], flush=True)
    print(markdown(["encoder", "views", "all labels", f"{SHARE:.0%}, mean of {DRAWS} (deviation)"], table))


if __name__ == "__main__":
    main()
