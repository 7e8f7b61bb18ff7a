"""Face views: crops are found once, whatever encodes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer.errors import MerError
from mer.extraction.contents import read_contents
from mer.extraction.crops import CropReport, crop_faces
from mer.extraction.face import extract_face
from mer.extraction.media import Media
from mer.extraction.per_clip import Done
from mer.params import ComputeParams, CropParams, FaceParams
from mer.store.tables import open_frames, read_utterances
from tests.extraction.making import make_media

data = pytest.importorskip("skimage.data", reason="scikit-image brings the photograph of a face")


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Media:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    frames = {"astronaut": data.astronaut()[:320, :320], "wall": np.full((240, 320, 3), 90, np.uint8)}
    clips: dict[str, dict[str, object] | None] = {"wall": None, "quarantined": None, "astronaut": None}
    for clip_id, frame in frames.items():
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
        height, width = frame.shape[:2]
        clips[clip_id] = {"frames": [jpeg, jpeg], "timestamps": [0.0, 1.0], "width": width, "height": height}
    return make_media(tmp_path / "data", clips)


ONE = ComputeParams(workers=1)


def crop(media: Media, **params: object) -> CropReport:
    return crop_faces(media, CropParams.model_validate(params), ONE)


def extract(media: Media, name: str = "face", **params: object) -> Done:
    return extract_face(name, media, FaceParams.model_validate(params), CropParams(), ONE)


def test_clips_without_a_face_or_without_media_are_masked(media: Media, tmp_path: Path) -> None:
    report = crop(media)
    extract(media)
    table = read_utterances(tmp_path / "data/features/face/utterance.parquet")
    assert table.clip_ids == ["wall", "quarantined", "astronaut"]
    assert table.ok.tolist() == [False, False, True]
    assert not table.embeddings[:2].any()
    assert report.detection["clips_with_face"] == 0.5
    assert report.detection["detection_rate"] == 0.5


def test_any_number_of_views_is_made_of_the_same_crops(media: Media, tmp_path: Path) -> None:
    crop(media)
    assert extract(media).computed == 2
    assert extract(media, "narrow", pooling="mean").computed == 2
    widths = [read_utterances(tmp_path / f"data/features/{name}/utterance.parquet") for name in ("face", "narrow")]
    assert widths[0].embeddings.shape[1] == 2 * widths[1].embeddings.shape[1]
    assert (crop(media).crops.computed, crop(media).crops.cached) == (0, 2)


def test_a_view_of_the_same_encoder_under_another_name_costs_nothing(media: Media) -> None:
    crop(media)
    extract(media)
    assert (extract(media, "again").computed, extract(media, "again").cached) == (0, 2)


def test_another_detector_setting_runs_detection_again(media: Media) -> None:
    crop(media)
    assert crop(media, smallest=0.2).crops.computed == 2


def test_crops_that_were_pruned_are_made_again_for_a_new_view(media: Media, tmp_path: Path) -> None:
    crop(media)
    extract(media)
    shutil.rmtree(tmp_path / "cache/face_crops")
    assert extract(media, "narrow", pooling="mean").computed == 2


def test_crops_by_other_params_are_not_made_again_in_silence(media: Media, tmp_path: Path) -> None:
    crop(media, smallest=0.2)
    shutil.rmtree(tmp_path / "cache/face_crops")
    with pytest.raises(MerError, match="dvc repro --force crop_faces"):
        extract(media)


def test_where_no_view_is_of_faces_none_is_looked_for(media: Media, tmp_path: Path) -> None:
    report = crop_faces(media, CropParams(), ONE, wanted=False)
    assert (report.crops.computed, report.detection["clips_with_face"]) == (0, 0)
    assert set(read_contents(tmp_path / "data", "face").values()) == {None}


def test_frames_are_as_wide_as_a_crop_s_vector_though_the_deviation_doubles_the_clip_s(
    media: Media, tmp_path: Path
) -> None:
    crop(media)
    extract(media, frames=True)
    folder = tmp_path / "data/features/face"
    frames, table = open_frames(folder / "frames.safetensors"), read_utterances(folder / "utterance.parquet")
    assert frames[2].shape == (2, table.embeddings.shape[1] // 2)
    np.testing.assert_allclose(frames[2].mean(axis=0), table.embeddings[2][: frames[2].shape[1]], atol=2e-3)
    assert len(frames[0]) == len(frames[1]) == 0
