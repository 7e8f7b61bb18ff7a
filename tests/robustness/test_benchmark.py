"""benchmarks.robustness: gains are paired, runs are scored as one, and the picture has a line a training."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from benchmarks.robustness import picture, read, scored, table

RNG = np.random.default_rng(0)


@pytest.fixture(name="folders")
def folders_fixture(tmp_path):
    """Two runs of 30 test clips each; training under noise is right more often."""
    folders = []
    for run in ("a", "b"):
        folder = tmp_path / run
        folder.mkdir()
        ids = [f"{run}{number}" for number in range(30)]
        truth = RNG.choice(["joy", "rage"], size=30)
        rows = []
        for training, right in (("plain", 0.5), ("noise", 0.9)):
            for kind, level in (("clean", np.nan), ("white", 0.0), ("white", 20.0)):
                said = np.where(RNG.random(30) < right, truth, "joy")
                name = kind if kind == "clean" else f"white {level:g}"
                own = {"training": training, "condition": name, "kind": kind, "level": level}
                rows.append(pd.DataFrame({**own, "clip_id": ids, "predicted": said}))
        pd.concat(rows).to_parquet(folder / "robustness.parquet")
        pd.DataFrame({"clip_id": ids, "label": truth}).to_parquet(folder / "test_labels.parquet")
        speakers = [f"{run}{number % 6}" for number in range(30)]
        pd.DataFrame({"clip_id": ids, "group": speakers}).to_parquet(folder / "groups.parquet")
        folders.append(folder)
    return folders


def test_gains_are_differences_of_the_scores_of_all_runs(folders):
    rows = read(folders)
    own = rows[rows["condition"] == "white 0"]
    scores = {name: f1_score(of["label"], of["predicted"], average="weighted") for name, of in own.groupby("training")}
    assert scored(own, "plain").value == pytest.approx(scores["plain"])
    gain = scored(own, "noise", "plain")
    assert gain.value == pytest.approx(scores["noise"] - scores["plain"])
    assert gain.low <= gain.value <= gain.high
    assert len(own) == 120


def test_a_line_a_condition_with_the_others_beside_the_first(folders):
    head, rule, *lines = table(read(folders))
    assert head == "| condition | plain | noise gains |"
    assert rule.count("---") == 3
    assert [line.split(" | ")[0] for line in lines] == ["| clean", "| white 0", "| white 20"]


def test_the_picture_is_svg_with_a_line_a_training(folders):
    tree = ElementTree.fromstring(picture(read(folders), ["plain", "noise"]))
    assert len(tree.findall(".//{*}polyline")) == 2
