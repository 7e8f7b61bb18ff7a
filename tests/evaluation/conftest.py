"""A small corpus with predictions, made from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from mer.clips import ClipTable

CLASSES = ("neutral", "angry", "happy")


@dataclass(frozen=True)
class Run:
    """What a run leaves behind for evaluation."""

    predictions: pd.DataFrame
    clips: ClipTable
    test_labels: pd.DataFrame


def make_predictions(rows: pd.DataFrame, truth: np.ndarray, classes: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Noisy probabilities that favour the truth, shaped like the predictions table."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(rows), len(classes)))
    logits[np.arange(len(rows)), truth] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = rows[["clip_id", "split", "label"]].assign(
        **{f"p_{name}": probabilities[:, at] for at, name in enumerate(classes)}
    )
    return table.assign(predicted=np.array(classes)[probabilities.argmax(1)], fold=rows["fold"])


def make_run(labeled: int = 60, unlabeled: int = 20, test: int = 30, *, groups: int = 0, seed: int = 0) -> Run:
    """A run on clips of three classes; with `groups`, each clip belongs to one of so many speakers."""
    rng = np.random.default_rng(seed)
    count = labeled + unlabeled + test
    truth = rng.integers(len(CLASSES), size=count)
    rows = pd.DataFrame({"clip_id": [f"clip_{at:03}" for at in range(count)]}, dtype="str")
    rows["path"] = "video/" + rows["clip_id"] + ".mp4"
    rows["split"] = ["labeled"] * labeled + ["unlabeled"] * unlabeled + ["test"] * test
    names = pd.Series(np.array(CLASSES)[truth])
    rows["label"] = names.where(rows["split"] == "labeled", None)
    rows["group"] = [f"speaker_{at % groups}" for at in range(count)] if groups else None
    rows["transcript"] = None
    rows["fold"] = np.where(rows["split"] == "labeled", np.arange(count) % 5, np.nan)
    is_test = rows["split"] == "test"
    test_labels = pd.DataFrame({"clip_id": rows["clip_id"][is_test], "label": names[is_test]}).reset_index(drop=True)
    return Run(make_predictions(rows, truth, CLASSES, seed), ClipTable(rows, CLASSES), test_labels)


@pytest.fixture(name="make_run")
def make_run_fixture():
    """Factory of runs."""
    return make_run
