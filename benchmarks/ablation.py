"""What each part of the method is worth, and each addition that is off by default.

    python -m benchmarks.ablation nemo [--draws 12] [--share .02]
    python -m benchmarks.ablation corpus [--seeds 3] [--share 1]

`nemo`: as benchmarks/limited_labels.py, `alone`, speakers standardised, one label share, all parts and additions.
`corpus`: the features that `dvc repro` left in data/, every seed a draw; out-of-fold on its labeled clips, or with a
`--share` of their labels on the labeled clips whose label was hidden. Both can be run in pieces.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks.nemo import load_nemo, make_draws
from mer.training.teaching import weighted_f1
from numpy.typing import NDArray

from benchmarks.limited_labels import KEYS, Setting, run_draw
from benchmarks.methods import ADDITIONS, PARTS, SINGLE, Trainer
from benchmarks.tables import Results, against
from mer.learning.features import MODALITIES, FeatureSet
from mer.stage import read_features

ROWS = {**PARTS, **ADDITIONS}


def run_nemo(draws: int, share: float, methods: list[str], results: Results) -> None:
    """One line a draw and method."""
    corpus = load_nemo()
    for draw in make_draws(corpus, draws):
        run_draw(corpus, draw, Setting("alone", "group"), [share], methods, results)


def run_corpus(seeds: int, share: float, methods: list[str], results: Results) -> None:
    """One line a seed and method, on the features of the last `dvc repro`."""
    features = read_features(MODALITIES)
    labeled = np.flatnonzero(features.labels >= 0)
    index = {name: i for i, name in enumerate(features.classes)}
    for seed in range(seeds):
        known, judged = _shown(labeled, share, seed)
        shown = _with_labels_of(features, known)
        trainer = Trainer()
        for method in methods:
            key = {"draw": seed, "normalise": "corpus", "setting": "corpus", "share": share, "method": method}
            if not results.has(**key):
                table = trainer(shown, {**ROWS, **SINGLE}[method], seed).predictions
                predicted = table["predicted"].map(index).to_numpy().astype(np.int64)
                results.add(**key, weighted_f1=weighted_f1(features.labels[judged], predicted[judged]))
                print(results.lines[-1], flush=True)


def _shown(labeled: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose label is shown, and rows to judge by: the others, or out of fold the same where none are hidden."""
    order = np.random.default_rng(seed).permutation(labeled)
    known = np.sort(order[: round(share * len(order))])
    return known, np.setdiff1d(labeled, known) if len(known) < len(labeled) else labeled


def _with_labels_of(features: FeatureSet, known: NDArray[np.int64]) -> FeatureSet:
    """The same clips, labeled ones but for `known` unlabeled."""
    hidden = np.setdiff1d(np.flatnonzero(features.labels >= 0), known)
    labels, folds, split = features.labels.copy(), features.folds.copy(), features.split.copy()
    labels[hidden], folds[hidden], split[hidden] = -1, -1, "unlabeled"
    return replace(features, labels=labels, folds=folds, split=split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nemo", "corpus"])
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--share", type=float, help="of labels; nemo: 0.02, corpus: 1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    arguments = parser.parse_args()
    results = Results(arguments.out or Path(f"metrics/ablation_{arguments.what}.jsonl"), KEYS)
    if not arguments.table:
        if arguments.what == "nemo":
            run_nemo(arguments.draws, arguments.share or 0.02, arguments.methods or list(ROWS), results)
        else:
            run_corpus(arguments.seeds, arguments.share or 1.0, arguments.methods or [*ROWS, *SINGLE], results)
    frame = results.frame()
    print(against(frame, sorted(frame["share"].unique()), "share", "mrccl"))


if __name__ == "__main__":
    main()
