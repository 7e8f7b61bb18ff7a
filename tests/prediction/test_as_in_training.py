"""New files go the way of training: the same features byte for byte, the same predictions, from every view."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mer.cli import app
from mer.params import ComputeParams, Params
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.store.tables import read_utterances
from tests.reliability.tiny import make_corpus

VIEWS = {
    "audio": {"model": "hubert", "layers": [-1], "frames": True},
    "first": {"modality": "audio", "model": "hubert", "layers": [0], "pooling": "mean_std"},
    "face": {"frames": True},
    "text": {"dimensions": 4},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the stages have run on a dozen clips, with two views of their sound; of one of them, and
    of the face, frames are read."""
    import torch
    from transformers import HubertConfig, HubertModel

    import stages.crop_faces
    import stages.decode
    import stages.ingest
    import stages.needed
    import stages.pretrain
    import stages.self_train
    import stages.split
    import stages.transcribe
    from mer.extraction.views import extract_view
    from tests.encoders.speech_models import TINY, save

    folder = tmp_path_factory.mktemp("trained")
    corpus = make_corpus(folder / "corpus")
    torch.manual_seed(0)
    save(HubertModel(HubertConfig(**TINY)), folder / "hubert")
    params = Params.model_validate(
        {
            "corpus": {"root": str(corpus), "layout": "folder", "folds": 3},
            "compute": {"workers": 1},
            "decode": {"frames": 2},
            "faces": {"on_missing": "whole_frame"},
            "views": VIEWS,
            "model": {"width": 8, "heads": 2, "normalise": ["corpus"], "components": 8, "threads": 1}
            | {"frame_tokens": 2, "most_frames": 5},
            "pretrain": {"epochs": 1, "held_out": 0},
            "self_train": {"rounds": 1, "steps": 5, "batch_size": 8, "gate": False},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MER_CACHE", str(folder / "cache"))
        for stage in (
            *(stages.ingest.ingest, stages.split.split, stages.needed.main, stages.decode.decode),
            *(stages.transcribe.transcribe, stages.crop_faces.crop),
        ):
            stage(params)
        for name in VIEWS:
            extract_view(name, params)
        stages.pretrain.main(params)
        stages.self_train.main(params)
    return folder


def test_the_bundle_reads_frames(trained: Path) -> None:
    readers = Predictor(trained / "data/models/bundle").classifier.standardisation.frames
    assert {name: reader.most for name, reader in readers.items()} == {"audio": 5, "face": 2}


def sources(trained: Path, split: str | None = None) -> tuple[list[str], list[Source]]:
    """Clips of the corpus with their transcripts."""
    clips = pd.read_parquet(trained / "data/clips.parquet").merge(pd.read_parquet(trained / "data/splits.parquet"))
    clips = clips if split is None else clips[clips["split"] == split]
    texts = pd.read_parquet(trained / "data/corpus_text.parquet").set_index("clip_id")["transcript"]
    files = [str(trained / "corpus" / path) for path in clips["path"]]
    ids = list(clips["clip_id"])
    return ids, [Source(file, file, None, texts[clip_id]) for clip_id, file in zip(ids, files, strict=True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_features_of_every_view_are_those_of_training_byte_for_byte(workers: int, trained: Path) -> None:
    ids, files = sources(trained)
    predictor = Predictor(trained / "data/models/bundle")
    found = dict(predictor.extracted(files, ComputeParams(workers=workers)))
    for name in VIEWS:
        table = read_utterances(trained / "data/features" / name / "utterance.parquet")
        assert list(table.clip_ids) == ids
        for row in range(len(ids)):
            one = found[row].features[name]
            assert one.ok == bool(table.ok[row])
            assert one.embedding.tobytes() == np.asarray(table.embeddings[row], np.float32).tobytes(), (name, ids[row])
    assert any(one.features["face"].ok for one in found.values())


def test_rows_of_unlabeled_clips_are_the_stages_own(trained: Path) -> None:
    ids, files = sources(trained, "unlabeled")
    predictor = Predictor(trained / "data/models/bundle")
    told = pd.read_parquet(trained / "data/predictions.parquet").set_index("clip_id")
    texts = [source.transcript for source in files]
    for clip_id, one in zip(ids, predictor.predict([source.file for source in files], texts), strict=True):
        assert one.label == told.loc[clip_id, "predicted"]
        for name, value in one.probabilities.items():
            assert value == pytest.approx(told.loc[clip_id, f"p_{name}"], abs=1e-6)
        assert {"audio", "audio/audio", "audio/first", "face", "text"} <= set(one.by_modality)


def test_an_imported_view_is_named_and_left_out(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained / "data/models/bundle", tmp_path / "bundle")
    about = json.loads((folder / "bundle.json").read_text())
    about["extra"]["here"] = str(trained)
    about["extra"]["extraction"]["views"]["first"] = {"modality": "audio", "source": "features"}
    (folder / "bundle.json").write_text(json.dumps(about))
    _, files = sources(trained, "unlabeled")
    done = CliRunner().invoke(app, ["predict", files[0].file, "--bundle", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert "without the imported views first" in done.stderr
    told = json.loads(done.stdout)
    assert told["modalities"] == {"audio": True, "first": False, "face": True, "text": False}
    assert "audio/first" not in told["by_modality"]
