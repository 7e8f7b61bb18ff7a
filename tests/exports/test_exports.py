"""A run's features in MERTools' and MMSA's forms, read back to the same bytes; and as their own code reads."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mer import clips
from mer.cli import app
from mer.clips import ClipTable
from mer.errors import MerError
from mer.exports import export
from mer.imports import open_source
from mer.imports.labels import read_labels
from mer.store.tables import read_utterances, write_frames, write_utterances

CLIPS = [f"clip {number}" for number in range(10)]
SPLITS = ["labeled"] * 6 + ["unlabeled"] * 2 + ["test"] * 2
LABELS = ["happy", "sad", "happy", "sad", "happy", "sad", *[None] * 4]
WIDTHS = {"audio": 4, "face": 3, "text": 2}
ABSENT = {("face", 3)}
LENGTHS = [3, 1, 2, 0, 5, 1, 2, 2, 4, 1]


def make_run(data: Path, names: list[str] | None = None, *, test_labels: bool = True) -> Path:
    names = names or CLIPS
    data.mkdir(parents=True)
    (data / "needed").mkdir()
    (data / "needed" / "views.json").write_text(json.dumps({name: name for name in WIDTHS}))
    rows = pd.DataFrame({"clip_id": names, "split": SPLITS, "label": LABELS, "group": None, "transcript": names})
    clips.write_splits(data / "splits.parquet", rows)
    clips.write_texts(data / "corpus_text.parquet", rows)
    clips.write_labels(data / "labels.parquet", ClipTable(rows, ("happy", "sad")))
    known = {"clip_id": names[8:], "label": ["sad", "happy"]} if test_labels else {"clip_id": [], "label": []}
    clips.write_test_labels(data / "test_labels.parquet", pd.DataFrame(known, dtype="str"))
    folds = pd.DataFrame({"clip_id": names[:6], "fold": [0, 0, 1, 1, 2, 2]})
    clips.write_folds(data / "folds.parquet", folds)
    for name, width in WIDTHS.items():
        rng = np.random.default_rng(width)
        frames = [
            rng.normal(size=(0 if (name, row) in ABSENT else max(1, LENGTHS[row]), width)).astype("<f2")
            for row in range(10)
        ]
        vectors = [
            (clip, of.astype(np.float32).mean(axis=0) if len(of) else np.zeros(width, np.float32), len(of), len(of) > 0)
            for clip, of in zip(names, frames, strict=True)
        ]
        write_utterances(data / "features" / name / "utterance.parquet", vectors, width)
        write_frames(data / "features" / name / "frames.safetensors", frames, [len(of) for of in frames], width)
    return data


def refused(what: str, write: Any) -> None:
    with pytest.raises(MerError, match=what) as raised:
        write()
    assert "\n" not in str(raised.value)


def test_mertools_form_comes_back_to_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    lines = export(run, tmp_path / "out", "mertools", frames=True)
    assert any("face-UTT: 10 clips [3], 1 of them zeros (absent)" in line for line in lines)
    for name in WIDTHS:
        table = read_utterances(run / "features" / name / "utterance.parquet")
        source = open_source(tmp_path / "out" / "features", name=f"{name}-UTT")
        assert list(source.clip_ids) == sorted(CLIPS)
        for clip, embedding, ok in zip(CLIPS, table.embeddings, table.ok, strict=True):
            found = source.read(clip)
            assert (found is not None) == ok
            assert found is None or found.tobytes() == embedding.tobytes()
        frames = open_source(tmp_path / "out" / "features", name=f"{name}-FRA")
        first = frames.read("clip 4")
        assert first is not None
        assert first.shape == (5, WIDTHS[name])


def test_mertools_own_loader_reads_what_was_written(tmp_path: Path) -> None:
    """As `func_read_one_feat` and `read_names_labels` of MERTools do it."""
    export(make_run(tmp_path / "data"), tmp_path / "out", "mertools", frames=True)
    for kind, shape in (("UTT", (1, 4)), ("FRA", (5, 4))):
        feature = np.load(tmp_path / "out" / "features" / f"audio-{kind}" / "clip 4.npy")
        feature = np.array([feature.squeeze()]).squeeze()
        feature = feature[np.newaxis, :] if len(feature.shape) == 1 else feature
        assert feature.shape == shape
    archive = np.load(tmp_path / "out" / "label-2way.npz", allow_pickle=True)  # our own, made above
    assert archive["train_corpus"].tolist()["clip 1"] == {"emo": "sad", "val": ""}
    assert list(archive["test1_corpus"].tolist()) == ["clip 8", "clip 9"]


def test_labels_come_back_the_same(tmp_path: Path) -> None:
    export(make_run(tmp_path / "data"), tmp_path / "out", "mertools")
    parts = read_labels(tmp_path / "out" / "label-2way.npz")
    assert {clip: label.emo for clip, label in parts["train"].items()} == dict(zip(CLIPS[:6], LABELS[:6], strict=True))
    assert {clip: label.emo for clip, label in parts["test1"].items()} == {"clip 8": "sad", "clip 9": "happy"}
    assert (tmp_path / "out" / "unlabeled.csv").read_text() == "name\nclip 6\nclip 7\n"


def test_mmsa_form_comes_back_to_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    export(run, tmp_path / "a.pkl", "mmsa")
    for name in WIDTHS:
        table = read_utterances(run / "features" / name / "utterance.parquet")
        source = open_source(tmp_path / "a.pkl", name=name)
        assert source.width() == WIDTHS[name]
        assert list(source.clip_ids) == [*CLIPS[2:6], *CLIPS[:2], *CLIPS[8:]]
        for clip in source.clip_ids:
            row = CLIPS.index(clip)
            found = source.read(clip)
            assert (found is not None) == table.ok[row]
            assert found is None or found[0].tobytes() == table.embeddings[row].tobytes()


def test_mmsas_own_loader_reads_what_was_written(tmp_path: Path) -> None:
    """As `MMDataset` of MMSA does it."""
    export(make_run(tmp_path / "data"), tmp_path / "a.pkl", "mmsa", frames=True)
    data = pickle.loads((tmp_path / "a.pkl").read_bytes())  # our own, made above
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        part = data[split]
        assert part["audio"].astype(np.float32).shape == (count, 5, 4)
        assert part["vision"].shape == (count, 5, 3)
        assert part["text"].shape == (count, 5, 2)
        assert all(1 <= length <= 5 for length in part["audio_lengths"])
        assert np.array(part["regression_labels"]).astype(np.float32).shape == (count,)
    assert data["valid"]["id"].tolist() == CLIPS[:2]
    assert data["valid"]["annotations"].tolist() == ["happy", "sad"]
    assert data["valid"]["raw_text"].tolist() == CLIPS[:2]
    assert data["train"]["vision_lengths"].tolist()[1] == 1  # the clip without a face: one frame of zeros


def test_frames_come_back_from_mmsas_form(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    export(run, tmp_path / "a.pkl", "mmsa", frames=True)
    export(run, tmp_path / "out", "mertools", frames=True)
    for name in WIDTHS:
        one = open_source(tmp_path / "a.pkl", name=name)
        other = open_source(tmp_path / "out" / "features", name=f"{name}-FRA")
        for clip in one.clip_ids:
            a, b = one.read(clip), other.read(clip)
            assert (a is None and b is None) or (a is not None and b is not None and a.tobytes() == b.tobytes())


@pytest.mark.parametrize(("form", "name"), [("mertools", "out"), ("mmsa", "a.pkl")])
def test_the_same_run_gives_the_same_bytes(tmp_path: Path, form: str, name: str) -> None:
    run = make_run(tmp_path / "data")
    written = []
    for place in ("one", "two"):
        export(run, tmp_path / place / name, form)
        files = sorted(path for path in (tmp_path / place).rglob("*") if path.is_file())
        written.append([(path.relative_to(tmp_path / place), path.read_bytes()) for path in files])
    assert written[0] == written[1]


def test_mmsa_has_one_view_a_modality(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    (run / "features" / "audio").rename(run / "features" / "hubert")
    (run / "needed" / "views.json").write_text(json.dumps({"hubert": "audio", "face": "audio", "text": "text"}))
    refused(
        "one view a modality: 'face' or 'hubert' for audio. --views", lambda: export(run, tmp_path / "a.pkl", "mmsa")
    )
    lines = export(run, tmp_path / "a.pkl", "mmsa", ["hubert", "text"])
    assert "'audio': view hubert, [1, 4] a clip" in lines[1]
    refused("no view 'clip' .found: hubert, face, text", lambda: export(run, tmp_path / "b.pkl", "mmsa", ["clip"]))


def test_without_labels_of_test_another_fold_is_taken_and_said(tmp_path: Path) -> None:
    lines = export(make_run(tmp_path / "data", test_labels=False), tmp_path / "a.pkl", "mmsa")
    assert "train 2, valid 2, test 2; valid is fold 0, test is fold 1 (the test split has no known labels)" in lines[0]
    assert "4 clips without a label are left out" in lines[0]


def test_what_has_no_place_in_a_form_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    refused(
        "no features of a view 'clip' .found: audio, face, text",
        lambda: export(run, tmp_path / "x", "mertools", ["clip"]),
    )
    refused("--to onnx: mertools or mmsa", lambda: export(run, tmp_path / "x", "onnx"))
    (tmp_path / "there").mkdir()
    refused("there: there is something already", lambda: export(run, tmp_path / "there", "mertools"))
    nested = make_run(tmp_path / "nested", [f"a/{clip}" for clip in CLIPS])
    refused("clip 'a/clip 0': MERTools' names are those of files", lambda: export(nested, tmp_path / "x", "mertools"))
    export(nested, tmp_path / "x.pkl", "mmsa")
    (run / "features" / "face" / "frames.safetensors").unlink()
    refused(
        "no frames of 'face' were kept; set views.face.frames",
        lambda: export(run, tmp_path / "x", "mertools", frames=True),
    )
    assert not (tmp_path / "x").exists()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    (run / "labels.parquet").unlink()
    refused("labels.parquet: no such file", lambda: export(run, tmp_path / "x", "mertools"))


def test_the_command_writes_and_says_what(tmp_path: Path) -> None:
    run = make_run(tmp_path / "data")
    result = CliRunner().invoke(
        app, ["convert", str(run), str(tmp_path / "out"), "--to", "mertools", "--views", "audio"]
    )
    assert result.exit_code == 0, result.output
    assert "audio-UTT: 10 clips [4]" in result.output
    assert not (tmp_path / "out" / "features" / "face-UTT").exists()
