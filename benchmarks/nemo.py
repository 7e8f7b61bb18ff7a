"""nEMO as a few-label corpus: speakers held out, most clips unlabeled, three views in place of three modalities.

Speakers are parted once: settings were chosen on the `DEVELOPMENT` speakers; test speakers are drawn from the other
four, which no choice has seen.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips.folds import assign_folds
from mer.errors import MerError
from mer.training.features import FeatureSet
from mer.training.standardise import fit_standardiser

VIEWS = {"audio": "whisper", "face": "egemaps", "text": "voice"}
"""Which view stands for which modality."""

DEVELOPMENT = ("EB0", "IC0", "KS0", "TP0", "WR0")
"""Speakers that settings were chosen on."""

FOLDS = 5


@dataclass(frozen=True)
class Corpus:
    """4,481 utterances: `views` float32 [N, D] a modality, `labels` int64 [N], `speakers` [N]."""

    views: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    speakers: NDArray[np.object_]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """Which rows are for training, which for testing."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    def labeled(self, share: float) -> NDArray[np.int64]:
        """A share of the training rows; a smaller share is a part of a larger one."""
        order = np.random.default_rng((self.number, 0)).permutation(self.train)
        return np.sort(order[: round(share * len(order))])


def shared_data() -> Path:
    """Where the real data sets are: `MER_SHARED_DATA`, or beside the project."""
    return Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def load_nemo() -> Corpus:
    """Read the utterance table.

    Raises:
        MerError: the data set is not there.
    """
    path = shared_data() / "nemo" / "utterances.parquet"
    if not path.exists():
        raise MerError(f"{path} is missing; set MER_SHARED_DATA to the folder that holds nemo/")
    rows = pd.read_parquet(path)
    label = rows["label"].astype("category")
    return Corpus(
        views={name: np.stack(list(rows[view])).astype(np.float32) for name, view in VIEWS.items()},
        labels=label.cat.codes.to_numpy().astype(np.int64),
        speakers=rows["speaker"].str.strip().to_numpy(dtype=object),
        classes=tuple(label.cat.categories),
    )


def make_draws(corpus: Corpus, number: int, *, development: bool = False) -> list[Draw]:
    """Draws of two held-out speakers: every pair in turn, with other labels each time round.

    In development, both training and test speakers are development speakers.
    """
    everyone = sorted(set(corpus.speakers))
    pool = [s for s in everyone if (s in DEVELOPMENT) == development]
    known = pool if development else everyone
    pairs = itertools.cycle(itertools.combinations(pool, 2))
    draws = []
    for i, pair in zip(range(number), pairs, strict=False):
        test = np.isin(corpus.speakers, pair)
        train = np.isin(corpus.speakers, known) & ~test
        draws.append(Draw(i, np.flatnonzero(train), np.flatnonzero(test)))
    return draws


def make_feature_set(corpus: Corpus, draw: Draw, labeled: NDArray[np.int64], *, test_unlabeled: bool) -> FeatureSet:
    """The draw's clips: training rows, and test rows as unlabeled clips (`test_unlabeled`) or not at all."""
    rows = np.concatenate([draw.train, draw.test]) if test_unlabeled else draw.train
    known = np.isin(rows, labeled)
    table = pd.DataFrame(
        {
            "clip_id": [f"clip{row}" for row in rows],
            "split": np.where(known, "labeled", "unlabeled"),
            "label": np.array([*corpus.classes, None], object)[np.where(known, corpus.labels[rows], -1)],
            "group": corpus.speakers[rows],
        }
    )
    folds = min(FOLDS, table.loc[known, "group"].nunique())
    return FeatureSet(
        clip_ids=table["clip_id"].to_numpy(dtype=object),
        split=table["split"].to_numpy(dtype=object),
        labels=np.where(known, corpus.labels[rows], -1),
        groups=corpus.speakers[rows],
        folds=assign_folds(table, folds, draw.number),
        classes=corpus.classes,
        features={name: x[rows] for name, x in corpus.views.items()},
        present={name: np.ones(len(rows), bool) for name in corpus.views},
    )


def concatenated(corpus: Corpus, fit: NDArray[np.int64], normalise: str) -> NDArray[np.float32]:
    """All views side by side, standardised over the rows `fit` (`corpus`) or each speaker for themselves (`group`), as
    `model.normalise` does for our own methods; what scikit-learn's see."""
    codes = pd.factorize(corpus.speakers)[0].astype(np.int64) if normalise == "group" else None
    present = np.ones(len(corpus.labels), bool)
    columns = []
    for x in corpus.views.values():
        fitted = fit_standardiser(x[fit], present[fit], 0, None if codes is None else codes[fit])
        columns.append(fitted(x, present, codes))
    return np.concatenate(columns, axis=1)
