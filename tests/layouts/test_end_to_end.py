"""Corpora in the shape of their owners, from the disk to the report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.layouts.dialogues import Turn, write_session
from tests.media.making import write_clip
from tests.reliability.tiny import DVC, call, commit, make_workspace

pytestmark = pytest.mark.skipif(
    os.environ.get("MER_RELIABILITY") != "large", reason="runs the pipeline three times: MER_RELIABILITY=large"
)


def iemocap(root: Path) -> str:
    for session in (1, 2, 3):
        labels = ("neu", "hap", "exc", "sad", "fru", "neu")
        turns = [Turn("FM"[n % 2], 0.5 + n, 1.3 + n, label) for n, label in enumerate(labels)]
        write_session(root, session, turns, left="FM"[session % 2])
    return "iemocap"


def ch_sims_v2(root: Path) -> str:
    rows = ["video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"]
    for number in range(12):
        score, word = (0.6, "Positive") if number % 2 else (-0.8, "Negative")
        mode = "test" if number >= 9 else "train"
        rows.append(f"aqgy{number // 2}_0001,{number:05d},句子 {number},{score},{score},{score},{score},{word},{mode}")
        write(root / f"ch-simsv2s/Raw/aqgy{number // 2}_0001/{number:05d}.mp4", 0.3 + 0.4 * (number % 2))
    bare = ["video_id,clip_id,text,mode", *(f"u_0001,{n:05d},什么 {n},unlabeled" for n in range(3))]
    for number in range(3):
        write(root / f"ch-simsv2u/Raw/u_0001/{number:05d}.mp4", 0.5)
    (root / "ch-simsv2s/meta.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    (root / "ch-simsv2u/meta.csv").write_text("\n".join(bare), encoding="utf-8")
    return "ch-sims-v2"


def crema_d(root: Path) -> str:
    for number in range(12):
        name = f"10{number // 2:02d}_{('DFA', 'IEO')[number % 2]}_{('ANG', 'HAP', 'SAD')[number % 3]}_XX"
        write(root / f"VideoFlash/{name}.flv", 0.2 + 0.2 * (number % 3), video="flv", audio="mp3", rate=22_050)
    return "crema-d"


def write(path: Path, level: float, **form: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, seconds=0.6, levels=(level, level), **{"rate": 16_000, **form})


@pytest.mark.parametrize("make", [iemocap, ch_sims_v2, crema_d])
def test_a_corpus_goes_from_the_disk_to_the_report(tmp_path: Path, make) -> None:
    root = tmp_path / "corpus"
    layout = make(root)
    workspace = make_workspace(tmp_path / "mer", root)
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("layout: folder", "layout: auto"))
    commit(workspace)
    said = call(workspace, *DVC, "repro", cache=tmp_path / "cache")
    assert f"recognised as {layout} by" in said
    metrics = json.loads((workspace / "metrics/evaluate.json").read_text())
    assert metrics
    predictions = pd.read_parquet(workspace / "data/predictions.parquet")
    labels = pd.read_parquet(workspace / "data/labels.parquet")
    assert predictions["clip_id"].tolist() == labels["clip_id"].tolist()
    assert (workspace / "data/report/index.html").is_file()
    if layout == "iemocap":
        assert "the corpus' own 3 folds are kept" in said
        folds = pd.read_parquet(workspace / "data/folds.parquet").merge(labels, on="clip_id")
        assert (folds["fold"] + 1 == folds["corpus_fold"].str.removeprefix("Session").astype(int)).all()
        faces = pd.read_parquet(workspace / "data/features/face/utterance.parquet")
        assert faces["ok"].all()
