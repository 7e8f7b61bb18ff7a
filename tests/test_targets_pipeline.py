"""Targets from the corpus' table to the report, beside classes and alone, through every stage."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mer.cli import app
from mer.extraction.views import extract_view
from mer.params import parse_params
from tests.media.making import write_clip

CLIPS = 30
STAGES = {
    "needed": "main",
    "ingest": "ingest",
    "split": "split",
    "decode": "decode",
    "transcribe": "transcribe",
    "text": "",
    "pretrain": "main",
    "self_train": "main",
    "robustness": "main",
    "rank_views": "main",
    "evaluate": "main",
    "report": "main",
}
SECTIONS = {
    "compute": {"workers": 1},
    "decode": {"frames": 0},
    "views": {"text": {"modality": "text", "dimensions": 6}},
    "model": {"modalities": ["text"], "width": 8, "heads": 2, "normalise": ["corpus"], "components": 8},
    "pretrain": {"epochs": 1, "held_out": 0},
    "self_train": {"rounds": 1, "steps": 20, "batch_size": 8},
    "evaluate": {"bootstrap": 100},
}
WORDS = ("woe and grief", "a plain day", "joy and luck")


def make_corpus(folder, *, labels: bool):
    """A third of the clips is for test, four are unlabeled; one labeled clip lacks the target."""
    folder.mkdir(parents=True)
    write_clip(folder / "one.mp4", seconds=0.4, levels=(0.2, 0.2), rate=16_000)
    columns = ["clip_id", "split", "group", "transcript", "valence", *(["label"] if labels else [])]
    rows = [",".join(columns)]
    rng = np.random.default_rng(0)
    for number in range(CLIPS):
        (folder / f"c{number:02d}.mp4").hardlink_to(folder / "one.mp4")
        kind = number % 3
        split = "unlabeled" if number >= CLIPS - 4 else "test" if number % 4 == 3 else "labeled"
        valence = "" if split == "unlabeled" or (number == 0 and labels) else f"{kind - 1 + 0.1 * rng.normal():.3f}"
        cells = [f"c{number:02d}", split, f"g{number % 7}", f"{WORDS[kind]} {number % 2}", valence]
        label = "" if split == "unlabeled" else ("sad", "sad", "happy")[kind]
        rows.append(",".join([*cells, *([label] if labels else [])]))
    (folder / "one.mp4").unlink()
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module", name="run", params=[True, False], ids=["beside classes", "alone"])
def run_fixture(request, tmp_path_factory):
    """A finished run in the working directory, and whether it has classes."""
    folder = tmp_path_factory.mktemp("run")
    corpus = make_corpus(folder / "corpus", labels=request.param)
    where = {"root": str(corpus), "layout": "folder", "folds": 3, "target": "valence"}
    params = parse_params(SECTIONS | {"corpus": where})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MER_CACHE", str(folder / "cache"))
        for stage, function in STAGES.items():
            if stage == "text":
                extract_view("text", params)
            else:
                getattr(importlib.import_module(f"stages.{stage}"), function)(params)
        yield request.param


def test_predictions_hold_numbers_with_intervals_for_every_clip(run):
    table = pd.read_parquet("data/predictions.parquet")
    assert len(table) == CLIPS
    assert np.isfinite(table["t_valence"]).all()
    assert (table["t_valence_low"] < table["t_valence"]).all()
    assert ("p_happy" in table) == run


def test_metrics_and_headline_tell_of_the_target_in_both_parts(run):
    metrics = json.loads(Path("metrics/evaluate.json").read_text(encoding="utf-8"))
    for part in ("out_of_fold", "test"):
        assert metrics[part]["valence_pearson"] > 0.7
        assert ("weighted_f1" in metrics[part]) == run
        assert ("f1_minus_mse" in metrics[part]) == run
        assert metrics[part]["valence_has0_acc_2"] > 0.5
    shown = CliRunner().invoke(app, ["show"]).output
    assert shown.count("valence MAE") == 2
    assert shown.count("weighted-F1") == 2 * run


def test_the_page_and_the_bundle_tell_of_it(run):
    page = Path("data/report/index.html").read_text(encoding="utf-8")
    assert "<h2>Targets</h2>" in page
    assert ("<h2>Confusion</h2>" in page) == run
    told = CliRunner().invoke(app, ["show", "--bundle"]).output
    assert "targets    valence" in told
    assert f"normalise  over the corpus{' (for targets)' * run}\n" in told
    assert ("normalise  over the corpus (for classes)\n" in told) == run
    assert ("choice     the " in told) == run
    assert "out of fold valence MAE" in told


def test_the_submission_has_classes_or_no_rows(run):
    table = pd.read_csv("data/submission.csv")
    assert list(table.columns) == ["name", "discrete"]
    assert bool(len(table)) == run


def test_valence_is_submitted_where_it_is_asked_for(run):
    names = pd.read_parquet("data/splits.parquet").query("split == 'test'")["clip_id"]
    with open("list.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(names) + "\n")
    done = CliRunner().invoke(app, ["submit", "--candidates", "list.txt", "--target", "valence"])
    if not run:
        assert done.exit_code == 1
        return
    assert done.exit_code == 0, done.output
    assert list(pd.read_csv("submission.csv").columns) == ["name", "discrete", "valence"]


def test_clips_that_no_fold_scores_get_the_numbers_of_the_table(run):
    corpus = Path("corpus")
    pd.read_csv(corpus / "labels.csv").rename(columns={"clip_id": "file"})[["file", "transcript"]].assign(
        file=lambda rows: rows["file"] + ".mp4"
    ).to_csv(corpus / "files.csv", index=False)
    done = CliRunner().invoke(app, ["predict", str(corpus / "files.csv"), "--out", "new.parquet", "--workers", "1"])
    assert done.exit_code == 0, done.output
    found, table = pd.read_parquet("new.parquet"), pd.read_parquet("data/predictions.parquet")
    found = found.set_index(found["path"].map(lambda path: Path(path).stem)).loc[list(table["clip_id"])]
    rest = (table["split"] != "labeled").to_numpy()
    assert rest.sum() > CLIPS // 4
    names = [name for name in table if name.startswith(("t_", "p_"))]
    np.testing.assert_allclose(found[names][rest], table[names][rest], rtol=1e-4, atol=1e-5)
    assert list(found["label"][rest].fillna("")) == list(table["predicted"][rest].fillna(""))


def test_the_bundle_is_judged_on_another_corpus_by_the_target_as_well(run, tmp_path):
    other = make_corpus(tmp_path / "other", labels=run)
    options = ["--target", "valence"] if run else []
    done = CliRunner().invoke(app, ["evaluate", "data/models/bundle", "--corpus", str(other), "--json", *options])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert found["valence_pearson"] > 0.7
    assert ("weighted_f1" in found) == run
