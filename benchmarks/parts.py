"""What each part of the method adds on the embedded corpus (or whatever `dvc repro` ran on last), over several seeds.

    python -m benchmarks.parts [--seeds 5] [--workers 2]

Reads the features of the last `dvc repro`, trains anew without each part, and prints weighted-F1 out of fold and on the
test split: means over seeds, and the difference to all parts with its 95 % interval over seeds (clips stay the same).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a run: threads of several would wait for each other

import argparse
import multiprocessing

import numpy as np
from numpy.typing import NDArray

from benchmarks.methods import Overrides
from benchmarks.tables import markdown, paired_interval
from mer.clips import read_test_labels
from mer.learning.features import read_labeled_features
from mer.params import MODALITIES, load_params, parse_params
from mer.pretraining.pretrain import pretrain
from mer.running.lifeline import end_with_parent
from mer.self_training.results import weighted_f1
from mer.self_training.self_train import self_train

PARTS: dict[str, Overrides] = {
    "all parts": {},
    "without self-training": {"self_train": {"rounds": 0}},
    "without the Gaussians": {"self_train": {"families": ["linear", "mrccl"]}},
    "without pretraining": {"pretrain": {"epochs": 0}},
    "without either": {"pretrain": {"epochs": 0}, "self_train": {"rounds": 0}},
    "the linear floor alone": {"model": {"kind": "logistic"}},
}


def scores(task: tuple[str, int]) -> tuple[float, float]:
    """Weighted-F1 out of fold and on the test split of one way with one seed."""
    way, seed = task
    values = load_params().model_dump()
    for section, changed in PARTS[way].items():
        values[section].update(changed)
    for section in ("pretrain", "self_train"):
        values[section]["seed"] = seed
    params = parse_params(values)
    features = read_labeled_features(MODALITIES).only(params.model.modalities)
    found = self_train(features, pretrain(features, params), params).predictions.set_index("clip_id")
    names = list(features.classes)
    predicted = found["predicted"].map(names.index)
    labeled = features.split == "labeled"
    truth = read_test_labels("data/test_labels.parquet").set_index("clip_id")["label"].map(names.index)
    out_of_fold = weighted_f1(features.labels[labeled], predicted.loc[features.clip_ids[labeled]].to_numpy())
    return out_of_fold, weighted_f1(truth.to_numpy(), predicted.loc[truth.index].to_numpy())


def difference(own: NDArray[np.float64], whole: NDArray[np.float64]) -> str:
    """Mean over seeds and its 95 % interval."""
    paired = own - whole
    low, high = paired_interval(paired)
    return f"{paired.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: two at least, for an interval")
    tasks = [(way, seed) for way in PARTS for seed in range(arguments.seeds)]
    with multiprocessing.get_context("spawn").Pool(arguments.workers, end_with_parent, (os.getpid(),)) as pool:
        found = dict(zip(tasks, pool.map(scores, tasks, chunksize=1), strict=True))
    by_way = {way: np.array([found[way, seed] for seed in range(arguments.seeds)]).T for way in PARTS}
    whole = by_way["all parts"]
    rows = []
    for way, own in by_way.items():
        cells = [
            f"{x.mean():.3f}" if way == "all parts" else f"{x.mean():.3f} ({difference(x, w)})"
            for x, w in zip(own, whole, strict=True)
        ]
        rows.append([way, *cells])
    print(markdown(["", "out of fold", "test"], rows))


if __name__ == "__main__":
    main()
