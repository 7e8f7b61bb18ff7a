"""What a stage reads and dvc.yaml cannot name is linked, so that DVC sees it change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mer.links import NO_LINKS, READ_BY, forget_views, link, link_views
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
    face = {"modality": "face", "encoder": str(weights / "clip")}
    link_views(Params.model_validate({"views": {"clip": face, "text": {}}}), weights / "links")
    assert links(weights / "links", "clip") == {
        "clip__config.json": str(weights / "clip/config.json"),
        "clip__sub__model.safetensors": str(weights / "clip/sub/model.safetensors"),
    }
    assert [path.name for path in (weights / "links/text").iterdir()] == [NO_LINKS]
    link_views(Params.model_validate({"views": {"text": {}}}), weights / "links")
    assert [path.name for path in (weights / "links").iterdir()] == ["text"]


def test_a_view_that_was_imported_is_linked_to_its_files(weights: Path) -> None:
    view = {"modality": "face", "source": str(weights / "clip")}
    link_views(Params.model_validate({"views": {"clip": view}}), weights / "links")
    assert len(links(weights / "links", "clip")) == 2


def test_the_detector_s_file_is_linked_and_gone_with_it(weights: Path) -> None:
    faces = {"detector": "yunet", "detector_model": str(weights / "face.onnx")}
    link("crop_faces", Params.model_validate({"faces": faces}), weights / "links")
    assert links(weights / "links", "crop_faces") == {"face.onnx": str(weights / "face.onnx")}
    link("crop_faces", Params(), weights / "links")
    assert links(weights / "links", "crop_faces") == {}


def test_what_a_view_left_behind_goes_with_it_and_no_more(tmp_path: Path) -> None:
    for name in ("features/old/utterance.parquet", "manifests/old.parquet", "quarantine/old.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("decode", "face_crops", "transcripts", "audio"):
        (tmp_path / f"manifests/{name}.parquet").touch()
    forget_views(Params(), tmp_path)
    assert {path.stem for path in tmp_path.rglob("*.parquet")} == {"decode", "face_crops", "transcripts", "audio"}
    assert not (tmp_path / "features/old").exists()


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
