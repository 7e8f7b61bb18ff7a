"""Corpora with real views, all in one form: clips held out to test on, a share of the others labeled.

They lie outside the repository: `MER_SHARED_DATA` names their folder, or they are beside the project. `embedded` is
what `dvc repro` left in data/.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips import read_test_labels
from mer.clips.folds import assign_folds
from mer.errors import MerError
from mer.learning.features import FeatureSet, read_labeled_features
from mer.learning.seeds import stream
from mer.params import MODALITIES

FOLDS = 5

IMBALANCE = tuple(count / 1248 for count in (1248, 1208, 1038, 730, 616, 190))
"""Class sizes of MER2024's labeled clips relative to the largest; dealt to a corpus' classes by their own size."""

DRAWN_GROUPS = {"nemo": 3, "emodb": 3, "enjoyment": 5}
"""Speakers held out in each draw, where a corpus has no test split of its own."""


@dataclass(frozen=True)
class Corpus:
    """N clips: `views` float32 [N, D] a modality, `labels` int64 [N], `groups` [N] (speaker, video or dialogue), and
    `test` bool [N] where the corpus says what to test on."""

    name: str
    views: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    groups: NDArray[np.object_]
    classes: tuple[str, ...]
    test: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Draw:
    """Rows to train on and rows to test on; `number` decides which clips are labeled, too."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    def labeled(self, share: float) -> NDArray[np.int64]:
        """A share of the training rows; a smaller share is a part of a larger one."""
        order = stream(self.number, "labels").permutation(self.train)
        return np.sort(order[: round(share * len(order))])


def shared_data() -> Path:
    """Where the real data sets are: `MER_SHARED_DATA`, or beside the project."""
    return Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def load_corpus(name: str) -> Corpus:
    """Read one of `CORPORA`.

    Raises:
        MerError: it is not there.
    """
    return CORPORA[name]()


def _table(name: str) -> pd.DataFrame:
    path = shared_data() / name / "utterances.parquet"
    if not path.exists():
        raise MerError(f"{path} is missing; set MER_SHARED_DATA to the folder that holds {name}/")
    return pd.read_parquet(path)


def _make(
    name: str,
    rows: pd.DataFrame,
    views: dict[str, NDArray[np.float32]],
    group: str,
    test: NDArray[np.bool_] | None = None,
) -> Corpus:
    label = rows["label"].astype("category")
    return Corpus(
        name=name,
        views=views,
        labels=label.cat.codes.to_numpy().astype(np.int64),
        groups=rows[group].astype(str).str.strip().to_numpy(dtype=object),
        classes=tuple(label.cat.categories),
        test=test,
    )


def _columns(rows: pd.DataFrame, **views: str) -> dict[str, NDArray[np.float32]]:
    return {modality: np.stack(list(rows[view])).astype(np.float32) for modality, view in views.items()}


def _speech(name: str) -> Corpus:
    """Three views of the voice stand for the modalities."""
    rows = _table(name)
    views = _columns(rows, audio="whisper", face="egemaps", text="voice")
    return _make(name, rows, views, "speaker")


def _mosi() -> Corpus:
    """Only the views that saw no label."""
    rows = _table("mosi")
    test = (rows["split"] == "test").to_numpy()
    return _make("mosi", rows, _columns(rows, audio="audio", text="minilm"), "video_id", test)


def _meld() -> Corpus:
    """Two views of the text; n-grams stand for the face."""
    rows = _table("meld")
    test = (rows["split"] == "test").to_numpy()
    return _make("meld", rows, _columns(rows, face="ngrams", text="minilm"), "dialogue", test)


def _enjoyment() -> Corpus:
    """Mean and deviation of the face over time, eGeMAPS of the voice."""
    folder = shared_data() / "enjoyment"
    if not folder.exists():
        raise MerError(f"{folder} is missing; set MER_SHARED_DATA to the folder that holds enjoyment/")
    rows = pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False).rename(columns={"discrete": "label"})
    frames = [np.load(folder / "features" / "pyfeat-FRA" / f"{name}.npy") for name in rows["name"]]
    voice = [np.load(folder / "features" / "egemaps_UTT" / f"{name}.npy").ravel() for name in rows["name"]]
    face = [np.concatenate([np.nanmean(one, axis=0), np.nanstd(one, axis=0)]) for one in frames]
    views = {"audio": np.stack(voice).astype(np.float32), "face": np.stack(face).astype(np.float32)}
    return _make("enjoyment", rows, views, "participant")


def _embedded() -> Corpus:
    """The features of the last `dvc repro`; clips without a label are left out, test clips are its own."""
    features, test = read_labeled_features(MODALITIES), read_test_labels("data/test_labels.parquet")
    names = np.array([*features.classes, None], object)[features.labels]
    hidden = pd.Series(features.clip_ids).map(test.set_index("clip_id")["label"])
    rows = pd.DataFrame({"label": pd.Series(names).where(features.labels >= 0, hidden), "group": features.groups})
    known = rows["label"].notna().to_numpy()
    views = {name: x[known] for name, x in features.features.items()}
    return _make("embedded", rows[known], views, "group", (features.split == "test")[known])


CORPORA: dict[str, Callable[[], Corpus]] = {
    "nemo": lambda: _speech("nemo"),
    "emodb": lambda: _speech("emodb"),
    "mosi": _mosi,
    "meld": _meld,
    "enjoyment": _enjoyment,
    "embedded": _embedded,
}


def make_draw(corpus: Corpus, number: int, *, imbalanced: bool = False) -> Draw:
    """Groups drawn at random are held out, or the corpus' own test split; `imbalanced` cuts classes in both parts to
    the sizes of MER2024's."""
    rng = stream(number, "test", corpus.name)
    if corpus.test is not None:
        test = corpus.test
    else:
        everyone = sorted(set(corpus.groups))
        test = np.isin(corpus.groups, rng.permutation(np.array(everyone, object))[: DRAWN_GROUPS[corpus.name]])
    parts = [np.flatnonzero(~test), np.flatnonzero(test)]
    if imbalanced:
        parts = [_cut(corpus, part, rng) for part in parts]
    return Draw(number, *parts)


def _cut(corpus: Corpus, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """At most `IMBALANCE` of the largest class of each class, the classes in the order of their size in the corpus."""
    sizes = np.bincount(corpus.labels, minlength=len(corpus.classes))
    shares = np.interp(np.linspace(0, 1, len(sizes)), np.linspace(0, 1, len(IMBALANCE)), IMBALANCE)
    counts = np.bincount(corpus.labels[rows], minlength=len(sizes))
    kept = []
    for c, share in zip(np.argsort(-sizes, kind="stable"), shares, strict=True):
        own = rows[corpus.labels[rows] == c]
        kept.append(rng.permutation(own)[: max(1, round(share * counts.max()))])
    return np.sort(np.concatenate(kept))


def make_feature_set(corpus: Corpus, draw: Draw, labeled: NDArray[np.int64], *, groups: bool) -> FeatureSet:
    """The draw's clips: labeled and unlabeled training rows, and test rows, whose label no one sees.

    `groups` says whether the method may know whose clip each is; folds keep groups whole either way.
    """
    rows = np.concatenate([draw.train, draw.test])
    known, test = np.isin(rows, labeled), np.isin(rows, draw.test)
    table = pd.DataFrame(
        {
            "clip_id": [f"clip{row}" for row in rows],
            "split": np.where(test, "test", np.where(known, "labeled", "unlabeled")),
            "label": np.array([*corpus.classes, None], object)[np.where(known, corpus.labels[rows], -1)],
            "group": corpus.groups[rows],
        }
    )
    folds = min(FOLDS, table.loc[known, "group"].nunique())
    return FeatureSet(
        clip_ids=table["clip_id"].to_numpy(dtype=object),
        split=table["split"].to_numpy(dtype=object),
        labels=np.where(known, corpus.labels[rows], -1),
        groups=corpus.groups[rows] if groups else np.full(len(rows), None, object),
        folds=assign_folds(table, folds, draw.number),
        classes=corpus.classes,
        features={name: x[rows] for name, x in corpus.views.items()},
        present={name: np.ones(len(rows), bool) for name in corpus.views},
    )
