"""What the embedded corpus leaves to learn from clips without labels.

    python -m benchmarks.sample_corpus [--draws 10]

On the features of the last `dvc repro`, with the true label of every clip from the corpus' own script. Each draw deals
the clips anew to the splits, at the sizes and class ratios of the corpus. Logistic regression for each modality and for
all together, on few labels and on all: the difference is the room that unlabeled clips have. Then the simplest ways to
use it, with scikit-learn alone: self-training of the vote on its own soft targets, and co-training, in which each
modality learns from what the others predict. Weighted-F1 on the test split, mean over draws and its standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from mer.learning.features import FeatureSet, read_labeled_features
from mer.learning.standardise import fit_standardiser
from mer.params import MODALITIES
from sample.params import load_params
from sample.script import write_script

Array = NDArray[np.float64]

COMPONENTS = 128
"""Principal components kept of each modality, as the pipeline does."""
STRENGTH = 0.1
"""Inverse weight of the penalty, for standardised features."""
UNLABELED = 4.0
"""Weight of all unlabeled clips over that of all labeled ones."""
FUSED = "all three"


def views_of(features: FeatureSet) -> dict[str, Array]:
    """Standardised features [N, D] of each modality, and side by side; zero where a modality is absent."""
    views: dict[str, Array] = {}
    for name in MODALITIES:
        x, present = features.features[name], features.present[name]
        views[name] = fit_standardiser(x, present, COMPONENTS)(x, present).astype(np.float64)
        views[name] /= np.sqrt(views[name].var(axis=0).mean())
    return views | {FUSED: np.concatenate(list(views.values()), axis=1)}


def true_labels(features: FeatureSet) -> NDArray[np.int64]:
    """Index of the class of every clip, unlabeled ones too [N]."""
    by_name = {clip.name: clip.label for clip in write_script(load_params().corpus)}
    return np.array([features.classes.index(by_name[name]) for name in features.clip_ids], np.int64)


def fit(view: Array, targets: Array, weights: Array) -> LogisticRegression:
    """Logistic regression on soft `targets` [N, C]: each clip once a class, weighted by its probability."""
    rows, classes = np.nonzero(targets > 1e-3)
    weights = targets[rows, classes] * weights[rows]
    return LogisticRegression(C=STRENGTH, max_iter=500).fit(view[rows], classes, weights)


def predict(models: Mapping[str, LogisticRegression], views: Mapping[str, Array], rows: NDArray[np.int64]) -> Array:
    """Mean probability of the models [rows, C]."""
    return np.mean([models[name].predict_proba(views[name][rows]) for name in models], axis=0)


def taught(
    views: Mapping[str, Array], targets: Array, labeled: NDArray[np.int64], unlabeled: NDArray[np.int64], rounds: int
) -> dict[str, dict[str, LogisticRegression]]:
    """Models on the labeled clips alone, after self-training and after co-training."""
    hard = {name: fit(view[labeled], targets[labeled], np.ones(len(labeled))) for name, view in views.items()}
    rows = np.concatenate([labeled, unlabeled])
    share = UNLABELED * len(labeled) / len(unlabeled)
    weights = np.concatenate([np.ones(len(labeled)), np.full(len(unlabeled), share)])
    result = {"labels alone": hard, "self-training": hard, "co-training": hard}
    for way in ("self-training", "co-training"):
        for _ in range(rounds):
            teachers, students = result[way], {}
            for name, view in views.items():
                others = {k: m for k, m in teachers.items() if way == "self-training" or k not in (name, FUSED)}
                soft = predict(others if name != FUSED else teachers, views, unlabeled)
                students[name] = fit(view[rows], np.concatenate([targets[labeled], soft]), weights)
            result[way] = students
    return result


def score(truth: NDArray[np.int64], probabilities: Array) -> float:
    return float(f1_score(truth, probabilities.argmax(axis=1), average="weighted"))


def run_draw(
    views: Mapping[str, Array], truth: NDArray[np.int64], seed: int, sizes: tuple[int, int]
) -> dict[str, float]:
    """Scores of one deal of the clips; `sizes` are those of the labeled and the test split."""
    labeled, rest = train_test_split(np.arange(len(truth)), train_size=sizes[0], stratify=truth, random_state=seed)
    unlabeled, test = train_test_split(rest, test_size=sizes[1], stratify=truth[rest], random_state=seed)
    targets = np.eye(truth.max() + 1)[truth]
    everything = np.concatenate([labeled, unlabeled])
    scores: dict[str, float] = {}
    whole = {name: fit(view[everything], targets[everything], np.ones(len(everything))) for name, view in views.items()}
    for way, models in {"all labels": whole, **taught(views, targets, labeled, unlabeled, rounds=2)}.items():
        for name in views:
            scores[f"{way}|{name}"] = score(truth[test], predict({name: models[name]}, views, test))
        scores[f"{way}|vote"] = score(truth[test], predict(models, views, test))
    return scores


def table(draws: list[dict[str, float]]) -> str:
    """Rows ways, columns modalities."""
    ways = list(dict.fromkeys(key.split("|")[0] for key in draws[0]))
    columns = list(dict.fromkeys(key.split("|")[1] for key in draws[0]))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for way in ways:
        cells = []
        for column in columns:
            values = [draw[f"{way}|{column}"] for draw in draws]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write the table here, too")
    arguments = parser.parse_args()
    features, corpus = read_labeled_features(MODALITIES), load_params().corpus
    views, truth = views_of(features), true_labels(features)
    draws = [run_draw(views, truth, seed, (corpus.labeled, corpus.test)) for seed in range(arguments.draws)]
    text = f"{corpus.labeled} labels, {len(truth)} clips, {arguments.draws} draws\n\n{table(draws)}"
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
