"""CMU-MOSI with all labels: weighted-F1 on its test split against logistic regression, `attention` and the baselines.

    python -m benchmarks.mosi [--methods mrccl attention ...]

The text and face features were trained by their authors on these training labels, so nothing is said here of few
labels. Intervals are a paired bootstrap over the videos of the test split.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.methods import BASELINES, PARTS, Overrides, Trainer
from benchmarks.nemo import shared_data
from benchmarks.tables import markdown
from mer.clips.folds import assign_folds
from mer.errors import MerError
from mer.evaluation.bootstrap import paired_bootstrap
from mer.evaluation.metrics import score
from mer.training.features import FeatureSet

MODALITIES = ("audio", "face", "text")
CLASSES = ("negative", "positive")
OURS: dict[str, Overrides] = {
    **BASELINES,
    "mrccl": PARTS["mrccl"],
    "mrccl, frozen encoders": PARTS["frozen encoders"],
    "mrccl, without the direct layer": PARTS["without the direct layer"],
    "mrccl, text alone": {"model": {"modalities": ["text"]}},
}


def load_mosi() -> tuple[FeatureSet, NDArray[np.int64]]:
    """The utterances and the classes of all of them; test clips go in without their label.

    Raises:
        MerError: the data set is not there.
    """
    path = shared_data() / "mosi" / "utterances.parquet"
    if not path.exists():
        raise MerError(f"{path} is missing; set MER_SHARED_DATA to the folder that holds mosi/")
    rows = pd.read_parquet(path)
    truth = (rows["label"] == "positive").to_numpy().astype(np.int64)
    train = (rows["split"] == "train").to_numpy()
    table = pd.DataFrame(
        {
            "clip_id": rows["clip_id"],
            "split": np.where(train, "labeled", "test"),
            "label": rows["label"].where(train, None),
            "group": rows["video_id"],
        }
    )
    features = FeatureSet(
        clip_ids=rows["clip_id"].to_numpy(dtype=object),
        split=table["split"].to_numpy(dtype=object),
        labels=np.where(train, truth, -1),
        groups=rows["video_id"].to_numpy(dtype=object),
        folds=assign_folds(table, 5, 0),
        classes=CLASSES,
        features={name: np.stack(list(rows[name])).astype(np.float32) for name in MODALITIES},
        present={name: np.ones(len(rows), bool) for name in MODALITIES},
    )
    return features, truth


def logistic(features: FeatureSet) -> NDArray[np.int64]:
    """Logistic regression on the standardised concatenation; predicts every clip."""
    x = np.concatenate([features.features[name] for name in MODALITIES], axis=1)
    train = features.labels >= 0
    deviation = x[train].std(axis=0)
    x = (x - x[train].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return LogisticRegression(C=0.01, max_iter=1000).fit(x[train], features.labels[train]).predict(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(OURS))
    arguments = parser.parse_args()
    features, truth = load_mosi()
    test = features.split == "test"
    reference = logistic(features)
    names = pd.Series(np.array(CLASSES)[truth])[test]
    videos = pd.Series(features.groups)[test]
    by_reference = pd.Series(np.array(CLASSES)[reference])[test]
    rows = [["logistic regression", "", f"{score(names, by_reference, CLASSES).weighted_f1:.4f}", ""]]
    trainer = Trainer()
    for method in arguments.methods:
        predicted = trainer(features, OURS[method], seed=0).predictions["predicted"]
        out_of_fold = score(pd.Series(np.array(CLASSES)[truth])[~test], predicted[~test], CLASSES).weighted_f1
        found = score(names, predicted[test], CLASSES).weighted_f1
        gain = paired_bootstrap(names, [by_reference], [predicted[test]], CLASSES, groups=videos)
        rows.append([method, f"{out_of_fold:.4f}", f"{found:.4f}", f"{gain.low:+.4f} to {gain.high:+.4f}"])
        print(rows[-1], flush=True)
    print(markdown(["method", "out-of-fold", "test", "test minus logistic regression, 95 %"], rows))


if __name__ == "__main__":
    main()
