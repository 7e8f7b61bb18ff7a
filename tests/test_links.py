"""What a stage reads and dvc.yaml cannot name is linked, so that DVC sees it change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mer.links import READ_BY, link
from mer.params import Params

ROOT = Path(__file__).parents[1]


def links(folder: Path, stage: str) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in (folder / stage).iterdir()}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "clip/sub").mkdir(parents=True)
    for name in ("config.json", "sub/model.safetensors", ".hidden"):
        (tmp_path / "clip" / name).write_text(name)
    (tmp_path / "face.onnx").write_text("yunet")
    return tmp_path


def test_every_file_of_an_encoder_is_linked_and_gone_with_it(weights: Path) -> None:
    face = {"encoder": str(weights / "clip"), "detector": "yunet", "detector_model": str(weights / "face.onnx")}
    link("extract_face", Params.model_validate({"face": face}), weights / "links")
    assert links(weights / "links", "extract_face") == {
        "clip__config.json": str(weights / "clip/config.json"),
        "clip__sub__model.safetensors": str(weights / "clip/sub/model.safetensors"),
        "face.onnx": str(weights / "face.onnx"),
    }
    link("extract_face", Params(), weights / "links")
    assert links(weights / "links", "extract_face") == {}


@pytest.mark.parametrize(("where", "expected"), [("outside", 1), ("labels.csv", 0), ("../outside", 1)])
def test_labels_are_linked_where_they_lie_outside_the_corpus(tmp_path: Path, where: str, expected: int) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/labels.csv").touch()
    (tmp_path / "outside").touch()
    labels = str(tmp_path / where) if where == "outside" else where
    corpus = {"root": str(tmp_path / "corpus"), "layout": "folder", "labels": labels}
    link("ingest", Params.model_validate({"corpus": corpus}), tmp_path / "links")
    assert list(links(tmp_path / "links", "ingest").values()) == [str(tmp_path / "outside")] * expected


@pytest.mark.parametrize("stage", READ_BY)
def test_the_defaults_need_no_link_and_the_folder_is_in_git(stage: str, tmp_path: Path) -> None:
    link(stage, Params(), tmp_path)
    assert links(tmp_path, stage) == {}
    assert (ROOT / "data/links" / stage / ".gitignore").is_file()
