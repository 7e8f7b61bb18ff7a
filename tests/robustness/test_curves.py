"""The robustness stage on a run of a few clips: its conditions, its keys in the cache, its trainings."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mer.clips import read_labels, read_test_labels, write_test_labels
from mer.errors import MerError
from mer.evaluation.report.robustness import robustness as report_section
from mer.evaluation.robustness import COLUMNS, robustness_curves
from mer.extraction.media import open_media
from mer.extraction.views import extract_view
from mer.params import parse_params
from mer.robustness.conditions import Condition
from mer.robustness.curves import _scene, robustness, with_noisy_copies
from mer.robustness.media import CorruptedMedia, recordings
from tests.encoders.speech_models import TINY, save
from tests.media.making import write_clip

ROOT = Path(__file__).parents[2]
CLIPS = 27
STAGES = (
    "needed",
    "ingest",
    "split",
    "decode",
    "transcribe",
    "audio",
    "text",
    "pretrain",
    "self_train",
)
SECTIONS = {
    "corpus": {"layout": "folder", "folds": 3},
    "compute": {"workers": 1},
    "decode": {"frames": 1},
    "views": {
        "audio": {"modality": "audio", "layers": [-1], "frames": True},
        "text": {"modality": "text", "dimensions": 4},
    },
    "model": {"modalities": ["audio", "text"], "width": 8, "heads": 2, "normalise": ["corpus"], "components": 8}
    | {"frame_tokens": 2, "most_frames": 8},
    "pretrain": {"epochs": 1, "held_out": 0},
    "self_train": {"rounds": 0, "steps": 20, "families": ["linear", "mrccl"], "batch_size": 8},
    "evaluate": {"bootstrap": 100},
    "robustness": {
        "run": True,
        "noise": ["white", "babble"],
        "snr": [20, 0],
        "dropped_words": [0.5],
        "training": ["plain", "both"],
        "train_snr": [10],
    },
}


@pytest.fixture(scope="module", name="params")
def params_fixture(tmp_path_factory):
    """A finished run in the working directory: two classes told apart by their words and their loudness."""
    from transformers import HubertConfig, HubertModel

    folder = tmp_path_factory.mktemp("run")
    corpus = folder / "corpus"
    corpus.mkdir()
    rows = ["clip_id,split,label,group,transcript"]
    for number in range(CLIPS):
        happy = number % 2
        level = (0.2, 0.8)[happy]
        write_clip(corpus / f"c{number:02d}.mp4", seconds=0.5 + 0.01 * number, levels=(level, level), rate=16_000)
        words = ("joy and luck today", "woe and grief again")[happy]
        split = "test" if number % 3 == 2 else "labeled"
        rows.append(f"c{number:02d},{split},{('sad', 'happy')[happy]},g{number % 9},{words} {number}")
    (corpus / "labels.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(0)
    save(HubertModel(HubertConfig(**TINY)), folder / "hubert")
    sections = {name: dict(values) for name, values in SECTIONS.items()}
    sections["corpus"]["root"] = str(corpus)
    sections["views"]["audio"]["model"] = str(folder / "hubert")
    params = parse_params(sections)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MER_CACHE", str(folder / "cache"))
        for stage in STAGES:
            if stage in sections["views"]:
                extract_view(stage, params)
                continue
            module = importlib.import_module(f"stages.{stage}")
            next(getattr(module, name) for name in ("main", stage) if hasattr(module, name))(params)
        yield params


def scored(predicted, params):
    clips, tested = read_labels("data/labels.parquet"), read_test_labels("data/test_labels.parquet")
    return robustness_curves(predicted, clips, tested, params.evaluate)


@pytest.fixture(scope="module", name="predicted")
def predicted_fixture(params):
    return robustness(params)


@pytest.fixture(scope="module", name="curves")
def curves_fixture(params, predicted):
    return scored(predicted, params)["robustness"]


def test_every_condition_has_a_score_with_an_interval_for_every_training(curves):
    assert list(curves.columns) == COLUMNS
    names = ["clean", "white 20", "white 0", "babble 20", "babble 0", "MER-NOISE", "dropped words 0.5"]
    assert list(dict.fromkeys(curves["condition"])) == [*names, "without audio", "without text"]
    assert list(curves["training"]) == ["plain", "both"] * 9
    assert (curves["weighted_f1_low"] <= curves["weighted_f1"]).all()
    assert (curves["weighted_f1"] <= curves["weighted_f1_high"]).all()
    assert (curves["clips"] == CLIPS // 3).all()


def test_the_clean_score_is_that_of_the_run(params, curves):
    table = pd.read_parquet("data/predictions.parquet").merge(
        read_test_labels("data/test_labels.parquet"), on="clip_id"
    )
    from sklearn.metrics import f1_score

    expected = f1_score(table["label_y"], table["predicted"], average="weighted")
    assert curves["weighted_f1"].iloc[0] == pytest.approx(expected)


def test_noise_changes_the_features_of_the_sound_alone(params):
    scene, rows = _scene(params, data=_data()), np.arange(6)
    clean, _ = scene.under(Condition("clean"), rows)
    noisy, _ = scene.under(Condition("white", 0.0), rows)
    np.testing.assert_array_equal(clean["text"], noisy["text"])
    assert (np.abs(clean["audio"] - noisy["audio"]).max(axis=1) > 1e-3).all()
    (before, after) = (scene.under_with_frames(Condition(*of), rows)[2] for of in (("clean",), ("white", 0.0)))
    assert set(before) == {"audio"}
    for row in rows:
        assert before["audio"][row].shape == after["audio"][row].shape
        assert np.abs(before["audio"][row] - after["audio"][row]).max() > 1e-3
    without, present = scene.under(Condition("absent", None, ("audio",)), rows)
    assert not without["audio"].any()
    assert not present["audio"].any()
    assert present["text"].any()


def _data():
    return Path("data")


def test_a_second_run_finds_everything_in_the_cache_and_gives_the_same(params, predicted, capsys):
    pd.testing.assert_frame_equal(robustness(params), predicted)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("audio:", "text:"))]
    lines = [line for line in lines if "computed" in line]
    assert len(lines) == 5 + 2 + 1  # noisy sounds and copies of two kinds for training; words
    assert all(": 0 computed" in line for line in lines)


def test_curves_by_snr_have_a_column_a_kind_of_noise(params, predicted, curves):
    wide = scored(predicted, params)["robustness_snr"]
    assert list(wide.columns) == ["snr", "white", "pink", "babble", "files"]
    assert list(wide["snr"]) == [0, 20]
    assert wide["pink"].isna().all()
    own = curves[(curves["training"] == "plain") & (curves["condition"] == "babble 0")]
    assert wide["babble"].iloc[0] == own["weighted_f1"].iloc[0]


def test_keys_of_corrupted_clips_are_not_those_of_clean_ones(params):
    media = open_media(params)
    ids = list(media.manifest.rows["clip_id"][:3])
    digests = [
        CorruptedMedia(media, Condition(kind, level), ids, _data(), 92).digests("audio_sha256")
        for kind, level in (("clean", None), ("white", 5.0), ("white", 0.0), ("dropped words", 0.5))
    ]
    clean = {clip_id: media.digests("audio_sha256")[clip_id] for clip_id in ids}
    assert digests[0] == digests[3] == clean
    assert len({of[ids[0]] for of in digests}) == 3


def test_noisy_copies_stay_in_the_fold_of_their_clip(params):
    scene = _scene(params, _data())
    found = with_noisy_copies(scene)
    labeled = np.flatnonzero(scene.features.split == "labeled")
    copies = np.arange(len(scene.features), len(found))
    assert len(copies) == len(labeled)
    for name in ("labels", "folds", "groups"):
        np.testing.assert_array_equal(getattr(found, name)[copies], getattr(scene.features, name)[labeled])
    assert len(set(found.clip_ids)) == len(found)
    np.testing.assert_array_equal(found.features["text"][copies], scene.features.features["text"][labeled])
    assert (found.features["audio"][copies] != scene.features.features["audio"][labeled]).any(axis=1).all()


def test_off_there_are_no_rows_and_nothing_is_read(params, tmp_path):
    code = (
        "import sys; from mer.params import parse_params; from stages.robustness import main; main(parse_params({})); "
        "sys.exit('torch' in sys.modules)"  # who asks for nothing waits for no import
    )
    (tmp_path / "data").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    plots = scored(pd.read_parquet(tmp_path / "data/robustness.parquet"), params)
    assert [len(points) for points in plots.values()] == [0, 0]
    assert list(plots["robustness"].columns) == COLUMNS
    assert report_section(plots["robustness"]) == ""


def test_the_report_shows_each_condition(curves):
    section = report_section(curves)
    for text in ("<h2>Robustness</h2>", "MER-NOISE", "without audio", "trained both"):
        assert text in section


def test_without_labels_of_test_clips_there_are_no_curves_and_a_line(params, predicted, capsys):
    clips, tested = read_labels("data/labels.parquet"), read_test_labels("data/test_labels.parquet")
    plots = robustness_curves(predicted, clips, tested.iloc[:0], params.evaluate)
    assert plots["robustness"].empty
    assert capsys.readouterr().out.strip() == "robustness: no test clip has a label, so there are no curves"


def test_the_stage_looks_at_no_label_of_the_test_split(params, predicted):
    labels = read_test_labels("data/test_labels.parquet")
    try:
        write_test_labels("data/test_labels.parquet", labels.iloc[:0])
        pd.testing.assert_frame_equal(robustness(params), predicted)
    finally:
        write_test_labels("data/test_labels.parquet", labels)


@pytest.mark.parametrize("content", [None, b"no sound at all"])
def test_a_noise_file_that_is_none_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "noise.wav").write_bytes(content)
    with pytest.raises(MerError, match=r"'robustness.noise_files': .*noise.wav"):
        recordings([str(tmp_path / "noise.wav")], parse_params({}).decode)
