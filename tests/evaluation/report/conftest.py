"""A finished run, small, with everything a report shows."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from mer.evaluation.evaluate import evaluate
from mer.evaluation.report import RunResults
from mer.evaluation.report.mistakes import confidently_wrong
from mer.params import Params, parse_params

SCORE = {"weighted_f1": 0.375, "low": 0.25, "high": 0.5}


def jpeg(width: int = 640, height: int = 360) -> bytes:
    """A picture with some texture."""
    picture = np.indices((height, width)).sum(0) % 256
    return cv2.imencode(".jpg", picture.astype(np.uint8))[1].tobytes()


@pytest.fixture
def run(make_run):
    """The tables of a run on three classes."""
    return make_run(labeled=90)


@pytest.fixture
def results(run) -> RunResults:
    """The run's results; the first two mistakes have a picture."""
    params: Params = parse_params({"corpus": {"folds": 3}, "evaluate": {"bootstrap": 100}})
    evaluation = evaluate(run.predictions, run.clips, run.test_labels, params.evaluate)
    mistakes = confidently_wrong(run.predictions, run.clips, count=4)
    curve = pd.DataFrame({"epoch": [0, 1, 2], "loss": [np.nan, 2.0, 1.25], "retrieval": [0, 0.1, 0.2]})
    pseudo_labels = pd.DataFrame({"fold": [-1, -1, 0], "label": ["angry", "happy", "angry"]})
    fault = {
        "clip_id": "broken",
        "stage": "decode",
        "kind": "failed",
        "error": "truncated",
        "message": "moov atom not found",
    }
    return RunResults(
        params=params,
        clips=run.clips,
        metrics=evaluation.metrics,
        plots=evaluation.plots,
        curves={"pretrain": curve},
        rounds=pd.DataFrame({"fold": [-1, 0, -1], "round": [0, 0, 1], "pseudo_labels": [1, 1, 2]}),
        pseudo_labels=pseudo_labels,
        mistakes=mistakes,
        frames={clip_id: jpeg() for clip_id in mistakes["clip_id"][:2]},
        views={
            "views": {"speech": {"modality": "audio", "width": 64, "coverage": 0.5, **SCORE}},
            "best_pair": {"views": "speech + clip", **SCORE, "adds": 0.0625},
        },
        quarantine=pd.DataFrame([fault | {"path": "video/broken.mp4", "sha256": "ab"}]),
    )
