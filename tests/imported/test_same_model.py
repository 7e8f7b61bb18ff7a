"""A corpus decoded here, and the same features exported and imported, give the same model and the same predictions."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mer.exports import export
from mer.params import load_params
from mer.store.tables import read_utterances
from tests.reliability import tiny

STAGES = {
    "needed": "main",
    "ingest": "ingest",
    "split": "split",
    "decode": "decode",
    "transcribe": "transcribe",
    "extract": "extract",
    "pretrain": "main",
    "self_train": "main",
}
ENCODERS = "bundle/text"
"""The bundle holds the fitted text encoder, where there is one: the one thing that an import does not bring."""


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run from media to a model, in a folder of its own."""
    import torch
    from transformers import HubertConfig, HubertModel

    from tests.encoders.speech_models import TINY, save

    folder = tmp_path_factory.mktemp("decoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_CACHE", str(folder / "cache"))
        tiny.make_corpus(folder / "corpus")
        torch.manual_seed(0)
        save(HubertModel(HubertConfig(**TINY)), folder / "hubert")
        views = {"audio": {"model": str(folder / "hubert"), "layers": [-1]}, "text": {"dimensions": 4}}
        run_stages(folder, views, root=str(folder / "corpus"))
        yield folder


def run_stages(folder: Path, views: dict[str, Any], **corpus: Any) -> None:
    """Every stage up to the model, in this process."""
    params = {**tiny.PARAMS, "corpus": {**tiny.PARAMS["corpus"], **corpus}, "views": views}
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        for stage, function in STAGES.items():
            work = getattr(importlib.import_module(f"stages.{stage}"), function)
            for name in views if stage == "extract" else [None]:
                patch.setattr("sys.argv", ["stage", name] if name else ["stage"])
                work(load_params())


def digests(folder: Path) -> dict[str, str]:
    models = folder / "data" / "models"
    found = {path.relative_to(models).as_posix(): path for path in sorted(models.rglob("*.safetensors"))}
    found = {name: path for name, path in found.items() if not name.startswith(ENCODERS)}
    assert len(found) > 1
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}


def test_exported_and_imported_features_give_the_same_model(decoded: Path, tmp_path: Path) -> None:
    export(decoded / "data", tmp_path / "out", "mertools")
    features = tmp_path / "out" / "features"
    views = {name: {"modality": name, "source": str(features / f"{name}-UTT")} for name in ("audio", "text")}
    run_stages(tmp_path / "imported", views, root=str(decoded / "corpus"))
    for name in views:
        one, other = (
            read_utterances(place / "data" / "features" / name / "utterance.parquet")
            for place in (decoded, tmp_path / "imported")
        )
        assert one.clip_ids == other.clip_ids
        assert one.embeddings.tobytes() == other.embeddings.tobytes()
        assert one.ok.tolist() == other.ok.tolist()
    assert digests(decoded) == digests(tmp_path / "imported")
    one, other = (pd.read_parquet(at / "data" / "predictions.parquet") for at in (decoded, tmp_path / "imported"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_corpus_of_features_alone_gives_the_same_labels_and_features(decoded: Path, tmp_path: Path) -> None:
    """What was exported is a corpus of its own: its clips, labels and features are those of the corpus with media."""
    export(decoded / "data", tmp_path / "out", "mertools")
    features, alone = str(tmp_path / "out" / "features"), tmp_path / "alone"
    views = {name: {"modality": name, "source": features, "array": name} for name in ("audio", "text")}
    run_stages(alone, views, root=str(tmp_path / "out"), layout="mertools")
    tables = [
        pd.read_parquet(at / "data" / "labels.parquet").set_index("clip_id").sort_index() for at in (decoded, alone)
    ]
    assert tables[0]["label"].fillna("").to_dict() == tables[1]["label"].fillna("").to_dict()
    assert tables[0]["split"].to_dict() == tables[1]["split"].to_dict()
    for name in ("audio", "text"):
        one, other = (read_utterances(at / "data" / "features" / name / "utterance.parquet") for at in (decoded, alone))
        found = dict(zip(other.clip_ids, other.embeddings, strict=True))
        assert all(found[c].tobytes() == e.tobytes() for c, e in zip(one.clip_ids, one.embeddings, strict=True))
    predictions = pd.read_parquet(alone / "data" / "predictions.parquet")
    assert len(predictions) == tiny.CLIPS
