"""Expected calibration error of teachers on labeled clips they did not see, before and after temperature scaling.

    python -m benchmarks.calibration nemo [--draws 6] [--shares .02 .1]
    python -m benchmarks.calibration corpus

Each clip's temperature is fitted on the other half of the clips. `corpus` reads what `dvc repro` left in data/.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.methods import make_params
from benchmarks.nemo import load_nemo, make_draws, make_feature_set
from benchmarks.tables import markdown
from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.params import Params, load_params
from mer.stage import read_features
from mer.training.classifier import heads_of
from mer.training.determinism import deterministic
from mer.training.features import MODALITIES, FeatureSet, labeled_rows
from mer.training.judging import judge_labeled
from mer.training.jury import Jury, OutOfFold, make_jury
from mer.training.nest import WHOLE, make_nests
from mer.training.pretrain import pretrain
from mer.training.teaching import make_trial, train_teachers

Votes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Probabilities [n, C] before and after, and labels [n]."""


def out_of_fold(features: FeatureSet, params: Params) -> OutOfFold:
    """What teachers that learned from labels alone say of the labeled clips of the fold that they left out."""
    features = features.only(params.model.modalities)
    with deterministic(params.self_train.seed):
        trial = make_trial(features, pretrain(features, params), params)
        nest = next(n for n in make_nests(features, labeled_rows(features), 0) if n.outer == WHOLE)
        return judge_labeled(nest, train_teachers(trial, [nest], {}, 0), features.labels, trial.inputs)


def votes(oof: OutOfFold, params: Params) -> Votes:
    """The vote as it is, and with temperatures fitted on the other half of the clips."""
    plain, scaled = (np.zeros((len(oof.labels), oof.logits.shape[-1]), np.float32) for _ in range(2))
    half = np.random.default_rng(0).permutation(len(oof.labels)) % 2
    for own in (0, 1):
        jury = make_jury(_rows(oof, half != own), heads_of(params.model), params.self_train)
        plain[half == own] = _as_is(jury).out_of_fold(_rows(oof, half == own))
        scaled[half == own] = jury.out_of_fold(_rows(oof, half == own))
    return plain, scaled, oof.labels


def _rows(oof: OutOfFold, rows: NDArray[np.bool_]) -> OutOfFold:
    return OutOfFold(oof.logits[rows], oof.present[rows], oof.labels[rows])


def _as_is(jury: Jury) -> Jury:
    return replace(jury, temperature=np.ones_like(jury.temperature))


def _error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    confidence = probabilities.max(axis=1).astype(np.float64)
    return expected_calibration_error(calibration_bins(confidence, probabilities.argmax(axis=1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nemo", "corpus"])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.02, 0.1])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    if arguments.what == "corpus":
        params = load_params()
        rows.append(_row("corpus", [votes(out_of_fold(read_features(MODALITIES), params), params)]))
    else:
        corpus = load_nemo()
        for share in arguments.shares:
            found = []
            for draw in make_draws(corpus, arguments.draws):
                params = make_params({}, draw.number)
                features = make_feature_set(corpus, draw, draw.labeled(share), test_unlabeled=False)
                found.append(votes(out_of_fold(features, params), params))
            rows.append(_row(f"nEMO, {share:.0%} of labels", found))
    print(markdown(["data", "clips", "before", "after", "after / before"], rows))


def _row(name: str, draws: Sequence[Votes]) -> list[str]:
    """All draws in one pot: with few clips in a bin, the error of any probabilities is large by chance."""
    plain, scaled, labels = (np.concatenate(part) for part in zip(*draws, strict=True))
    before, after = _error(plain, labels), _error(scaled, labels)
    return [name, str(len(labels)), f"{before:.3f}", f"{after:.3f}", f"{after / before:.2f}"]


if __name__ == "__main__":
    main()
