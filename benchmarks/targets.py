"""Regression on numbers that shared corpora have: `enjoyment`, 1 to 5, of 590 exchanges of 25 people with a robot.

python -m benchmarks.targets                    # out of fold, folds by participant, three draws of the folds
python -m benchmarks.targets --kind logistic    # the floor alone: ridge regression
python -m benchmarks.targets --corpus mosi      # the sign of MOSI's sentiment, -1 or 1, of 2,199 utterances, by video
python -m benchmarks.targets --corpus nemo      # seconds of 900 utterances of nEMO, by speaker

The peer, in the same run and on the same folds: ridge regression as anyone would fit it (columns standardised over all
clips, penalty of scikit-learn's RidgeCV inside the training folds), and a constant.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from benchmarks.corpora import FOLDS, Corpus, load_corpus, shared_data
from mer.clips.folds import assign_folds
from mer.evaluation.bootstrap import bootstrap_sums, percentile_interval
from mer.evaluation.target_metrics import METRICS, moments
from mer.learning.features import FeatureSet
from mer.params import Params, parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.regress import regress

TARGET = "number"
CLIPS_A_SPEAKER = 100
"""Of nEMO, the first ones."""


def numbers(corpus: Corpus) -> NDArray[np.float64]:
    """What there is to predict of each clip. Neither MOSI's sign nor nEMO's seconds had a say in any rule here."""
    if corpus.name == "mosi":
        return 2.0 * (corpus.labels == corpus.classes.index("positive")) - 1
    if corpus.name == "nemo":
        return pd.read_parquet(shared_data() / "nemo" / "utterances.parquet")["seconds"].to_numpy(np.float64)
    labels = pd.read_csv(shared_data() / "enjoyment" / "labels.csv", dtype=str, keep_default_na=False)
    return labels["enjoyment"].to_numpy(np.float64)


def kept(corpus: Corpus) -> NDArray[np.bool_]:
    """All clips, but of nEMO so many of each speaker."""
    if corpus.name != "nemo":
        return np.ones(len(corpus.labels), bool)
    return (pd.Series(corpus.groups).groupby(corpus.groups).cumcount() < CLIPS_A_SPEAKER).to_numpy()


def feature_set(seed: int, name: str = "enjoyment") -> FeatureSet:
    """All clips, labeled, in folds that keep participants, videos or speakers whole."""
    corpus = load_corpus(name)
    rows = kept(corpus)
    values, groups = numbers(corpus)[rows], corpus.groups[rows]
    ids = np.array([f"clip{i}" for i in range(len(values))], object)
    table = pd.DataFrame({"clip_id": ids, "split": "labeled", "label": None, "group": groups})
    folds = assign_folds(table.assign(**{f"target_{TARGET}": values}), FOLDS, seed)
    everywhere = {name: np.ones(len(ids), bool) for name in corpus.views}
    return FeatureSet(
        clip_ids=ids,
        split=np.full(len(ids), "labeled", object),
        labels=np.full(len(ids), -1),
        groups=groups,
        folds=folds,
        classes=(),
        features={name: x[rows] for name, x in corpus.views.items()},
        present=everywhere,
        targets={TARGET: values},
    )


def ridge(features: FeatureSet) -> NDArray[np.float64]:
    """scikit-learn's, out of fold."""
    x = StandardScaler().fit_transform(np.nan_to_num(np.concatenate(list(features.features.values()), axis=1)))
    y, found = features.targets[TARGET], np.zeros(len(x))
    for fold in np.unique(features.folds):
        learned = features.folds != fold
        found[~learned] = RidgeCV(np.logspace(0, 5, 11)).fit(x[learned], y[learned]).predict(x[~learned])
    return found


def constant(features: FeatureSet) -> NDArray[np.float64]:
    """The mean of the other folds."""
    y = features.targets[TARGET]
    return np.array([y[features.folds != fold].mean() for fold in features.folds])


def scores(features: FeatureSet, predicted: NDArray[np.float64], seed: int) -> Mapping[str, str]:
    """Each metric with its interval, resampled by participant."""
    groups = pd.Series(features.groups)
    whole, drawn = bootstrap_sums(moments(features.targets[TARGET], predicted), groups=groups, seed=seed)
    found = {}
    for name, metric in METRICS.items():
        one = percentile_interval(metric(whole), metric(drawn), 0.95)
        found[name] = f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
    return found


def params_of(kind: str, seed: int, modalities: Sequence[str]) -> Params:
    """The defaults, but for the model's kind and the seeds."""
    return parse_params(
        {
            "model": {"kind": kind, "modalities": list(modalities)},
            "pretrain": {"seed": seed, "epochs": 30 if kind == "mrccl" else 0},
            "self_train": {"seed": seed},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="enjoyment", choices=["enjoyment", "mosi", "nemo"])
    parser.add_argument("--kind", default="mrccl")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for seed in range(options.seeds):
        features = feature_set(seed, options.corpus)
        started = time.perf_counter()
        params = params_of(options.kind, seed, features.modalities)
        made = regress(features, pretrain(features, params), params, [TARGET])
        seconds = time.perf_counter() - started
        table = made.predictions
        y, low, high = features.targets[TARGET], table[f"t_{TARGET}_low"], table[f"t_{TARGET}_high"]
        rows = {
            "constant": scores(features, constant(features), seed),
            "RidgeCV": scores(features, ridge(features), seed),
            options.kind: scores(features, table[f"t_{TARGET}"].to_numpy(), seed),
        }
        print(f"draw {seed}, {seconds:.0f} s")
        for name, found in rows.items():
            print(f"  {name:9}" + "  ".join(f"{metric} {value}" for metric, value in found.items()))
        covered = ((low <= y) & (y <= high)).mean()
        print(
            f"  intervals of {params.self_train.coverage:.0%}: {covered:.3f} covered, width {(high - low).mean():.2f}"
        )


if __name__ == "__main__":
    main()
