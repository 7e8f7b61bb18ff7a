"""Face crops that others made take the place of a detector's, for any face encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mer.encoders.face.crops import from_record
from mer.errors import MerError
from mer.extraction.crops import CropReport, crop_faces, open_crops
from mer.extraction.face import extract_face
from mer.extraction.media import Media
from mer.params import ComputeParams, CropParams, FaceParams, parse_params
from mer.params.needs import needs
from mer.store.quarantine import read_quarantine
from mer.store.tables import read_utterances
from tests.extraction.making import make_media

ONE = ComputeParams(workers=1)
SMOOTH = np.tile(np.linspace(20, 230, 112), (112, 1))


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Media:
    """Clips without media, of a corpus that has features and crops only."""
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    return make_media(tmp_path / "data", dict.fromkeys(["a", "b", "c"], None))


def write(tmp_path: Path, clip: str, crops: np.ndarray) -> None:
    (tmp_path / "openface_face" / clip).mkdir(parents=True)
    np.save(tmp_path / "openface_face" / clip / f"{clip}.npy", crops)


def crop(media: Media, tmp_path: Path, **params: object) -> CropReport:
    source = str(tmp_path / "openface_face")
    return crop_faces(media, CropParams.model_validate({"crops": source, **params}), ONE)


def bgr(count: int) -> np.ndarray:
    """Crops whose colours tell blue from red."""
    picture = np.stack([SMOOTH * 0, SMOOTH / 2, SMOOTH], axis=-1).astype(np.uint8)
    return np.stack([picture] * count)


def test_imported_crops_are_encoded_as_detected_ones_are(
    media: Media, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a", bgr(3))
    write(tmp_path, "b", np.zeros((2, 112, 112, 3), np.uint8))
    report = crop(media, tmp_path)
    params = CropParams(crops=str(tmp_path / "openface_face"))
    extract_face("face", media, FaceParams(), params, ONE)
    table = read_utterances(tmp_path / "data/features/face/utterance.parquet")
    assert table.ok.tolist() == [True, False, False]
    assert table.frames.tolist() == [3, 0, 0]
    assert report.detection["clips_with_face"] == 0.5
    [(_, record)] = open_crops(media, params, ONE).load(["a"])
    difference = np.abs(from_record(record).crops.astype(int) - bgr(3)[..., ::-1])
    assert difference.mean() < 3  # JPEG's; with the colours swapped it is above 80
    said = capsys.readouterr().out
    assert "faces.crops: no features of 1 of 3 clips, the first is 'c'" in said


def test_crops_are_stored_once_and_made_again_where_they_were_lost(media: Media, tmp_path: Path) -> None:
    write(tmp_path, "a", bgr(2))
    assert crop(media, tmp_path).crops.computed == 1
    assert crop(media, tmp_path).crops.computed == 0
    shutil.rmtree(tmp_path / "cache" / "face_crops")
    params = CropParams(crops=str(tmp_path / "openface_face"))
    [(clip, record)] = open_crops(media, params, ONE).load(["a"])
    assert (clip, record["detected"]) == ("a", 2)


def test_crops_of_another_size_or_form_go_to_quarantine(media: Media, tmp_path: Path) -> None:
    write(tmp_path, "a", np.ones((2, 96, 96, 3), np.uint8))
    write(tmp_path, "b", np.ones((2, 112, 112), np.float32))
    write(tmp_path, "c", bgr(1))
    report = crop(media, tmp_path, max_failed=1.0)
    assert set(report.crops.failed) == {"a", "b"}
    found = read_quarantine(tmp_path / "data" / "quarantine").set_index("clip_id")["message"]
    assert found["a"] == "crops of 96 x 96 pixels, where faces.crop_size is 112"
    assert "clip 'b'" in found["b"]
    assert "not uint8 [T, H, W, 3]" in found["b"]


def test_crops_of_other_clips_are_said(media: Media, tmp_path: Path) -> None:
    write(tmp_path, "train_a", bgr(1))
    with pytest.raises(MerError, match=r"faces\.crops: none of its 1 clips.*the prefix 'train_'"):
        crop(media, tmp_path)


def test_views_of_imported_crops_and_features_need_no_media() -> None:
    views = {"face": {}, "openface": {"modality": "face", "source": "features/openface-UTT"}}
    assert needs(parse_params({"views": views}))["media"]
    asked = needs(parse_params({"views": views, "faces": {"crops": "openface_face"}}))
    assert (asked["media"], asked["faces"]) == (False, True)
