"""Expected calibration error of teachers on labeled clips they did not see, before and after temperature scaling.

    python -m benchmarks.calibration nemo [--draws 6] [--shares .02 .1]
    python -m benchmarks.calibration corpus

Each clip's temperature is fitted on the other half of the clips. `corpus` reads what `dvc repro` left in data/.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from benchmarks.nemo import load_nemo, make_draws, make_feature_set
from mer.training.judging import judge_labeled
from mer.training.jury import OutOfFold, make_jury
from mer.training.nest import WHOLE, make_nests
from mer.training.teaching import make_trial, train_teachers
from numpy.typing import NDArray

from benchmarks.methods import make_params
from benchmarks.tables import markdown
from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.learning.determinism import deterministic
from mer.learning.features import MODALITIES, FeatureSet, labeled_rows
from mer.model.voting import head_presence
from mer.params import Params, load_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.classifier import heads_of
from mer.stage import read_features

Judged = dict[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]
"""Judge (a head, or the vote of all) -> probabilities [n, C] before and after, and labels [n]."""


def out_of_fold(features: FeatureSet, params: Params) -> OutOfFold:
    """What teachers that learned from labels alone say of the labeled clips of the fold that they left out."""
    features = features.only(params.model.modalities)
    with deterministic(params.self_train.seed, params.model.threads):
        trial = make_trial(features, pretrain(features, params), params)
        nest = next(n for n in make_nests(features, labeled_rows(features), 0) if n.outer == WHOLE)
        return judge_labeled(nest, train_teachers(trial, [nest], {}, 0), features.labels, trial.inputs)


def judge(oof: OutOfFold, params: Params) -> Judged:
    """Each head of each seed, and the vote, as they are and with temperatures fitted on the other half of the clips."""
    names = heads_of(params.model)
    heard = head_presence(torch.from_numpy(oof.present), len(names)).numpy()
    parts: dict[str, list[Any]] = {name: [] for name in (*names, "vote")}
    half = np.random.default_rng(0).permutation(len(oof.labels)) % 2
    for own in (0, 1):
        jury, mine = make_jury(_rows(oof, half != own), names, params.self_train), _rows(oof, half == own)
        for h, name in enumerate(names):
            there = heard[half == own, h]
            for logits in mine.logits[there, :, h].swapaxes(0, 1):  # [n, C] of each seed
                parts[name].append((_softmax(logits), _softmax(logits / jury.temperature[h]), mine.labels[there]))
        by_seed, present = torch.from_numpy(mine.logits).transpose(0, 1), torch.from_numpy(mine.present)
        as_is = replace(jury, temperature=np.ones_like(jury.temperature), vote_temperature=1.0)
        both = [one.verdict(by_seed, present).numpy() for one in (as_is, jury)]
        parts["vote"].append((both[0], both[1], mine.labels))
    return {name: _joined(found) for name, found in parts.items()}


def _rows(oof: OutOfFold, rows: NDArray[np.bool_]) -> OutOfFold:
    return OutOfFold(oof.logits[rows], oof.present[rows], oof.labels[rows])


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return torch.from_numpy(logits).softmax(dim=-1).numpy()


def _joined(parts: Sequence[Any]) -> Any:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    confidence = probabilities.max(axis=1).astype(np.float64)
    return expected_calibration_error(calibration_bins(confidence, probabilities.argmax(axis=1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nemo", "corpus"])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.02, 0.1])
    arguments = parser.parse_args()
    rows = []
    if arguments.what == "corpus":
        params = load_params()
        rows += _table("corpus", [judge(out_of_fold(read_features(MODALITIES), params), params)])
    else:
        corpus = load_nemo()
        for share in arguments.shares:
            found = []
            for draw in make_draws(corpus, arguments.draws):
                params = make_params({}, draw.number)
                features = make_feature_set(corpus, draw, draw.labeled(share), test_unlabeled=False)
                found.append(judge(out_of_fold(features, params), params))
            rows += _table(f"nEMO, {share:.0%} of labels", found)
    print(markdown(["data", "judge", "judgements", "before", "after", "after / before"], rows))


def _table(data: str, draws: Sequence[Judged]) -> list[list[str]]:
    """All draws in one pot: with few clips in a bin, the error of any probabilities is large by chance."""
    rows = []
    for name in draws[0]:
        plain, scaled, labels = _joined([draw[name] for draw in draws])
        before, after = _error(plain, labels), _error(scaled, labels)
        rows.append([data, name, str(len(labels)), f"{before:.3f}", f"{after:.3f}", f"{after / before:.2f}"])
    return rows


if __name__ == "__main__":
    main()
