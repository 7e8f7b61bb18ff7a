"""A small feature set whose three views share a class signal, and parameters that train on it in a moment."""

import numpy as np

from mer.learning.features import FeatureSet
from mer.params import parse_params

CLASSES = ("neutral", "angry", "happy")
WIDTHS = {"audio": 6, "face": 40, "text": 9}


def make_features(labeled=45, unlabeled=40, test=15, *, noise=1.0, folds=3, seed=0, absent=0.1):
    """A feature set, and the true class of every clip."""
    rng = np.random.default_rng(seed)
    clips = labeled + unlabeled + test
    truth = rng.integers(0, len(CLASSES), clips)
    latent = np.concatenate([2 * np.eye(len(CLASSES))[truth], rng.normal(size=(clips, 3))], axis=1)
    features, present = {}, {}
    for name, width in WIDTHS.items():
        values = latent @ rng.normal(size=(latent.shape[1], width)) + noise * rng.normal(size=(clips, width))
        present[name] = rng.random(clips) >= absent
        features[name] = np.where(present[name][:, None], values, 0).astype(np.float32)
    split = np.array(["labeled"] * labeled + ["unlabeled"] * unlabeled + ["test"] * test, object)
    known = split == "labeled"
    made = FeatureSet(
        clip_ids=np.array([f"clip{i}" for i in range(clips)], object),
        split=split,
        labels=np.where(known, truth, -1),
        groups=np.array([None] * clips, object),
        folds=np.where(known, np.arange(clips) % folds, -1),
        classes=CLASSES,
        features=features,
        present=present,
    )
    return made, truth


def small_params(**sections):
    """Parameters of a small, quick model; `sections` are merged in, one mapping a section."""
    values = {
        "model": {"width": 8, "heads": 2, "components": 16, "normalise": "corpus"},
        "pretrain": {"epochs": 3, "batch_size": 32},
        "self_train": {
            "steps": 30,
            "batch_size": 16,
            "learning_rate": 5e-3,
        },
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return parse_params(values)
