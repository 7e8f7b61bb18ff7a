"""Face extraction in two steps: crops are found once, whatever encodes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer.extraction.face import FaceReport, extract_face
from mer.extraction.media import Media
from mer.params import ComputeParams, FaceParams
from mer.store.tables import read_utterances
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


def extract(media: Media, **params: object) -> FaceReport:
    return extract_face(media, FaceParams.model_validate(params), ComputeParams(workers=1), media.place)


def test_clips_without_a_face_or_without_media_are_masked(media: Media, tmp_path: Path) -> None:
    report = extract(media)
    table = read_utterances(tmp_path / "data/features/face/utterance.parquet")
    assert table.clip_ids == ["wall", "quarantined", "astronaut"]
    assert table.ok.tolist() == [False, False, True]
    assert not table.embeddings[:2].any()
    assert report.detection["clips_with_face"] == 0.5
    assert report.detection["detection_rate"] == 0.5


def test_another_encoding_runs_no_detection_again(media: Media) -> None:
    extract(media)
    report = extract(media, pooling="mean")
    assert (report.crops.computed, report.crops.cached) == (0, 2)
    assert report.features.computed == 2


def test_another_detector_setting_runs_detection_again(media: Media) -> None:
    extract(media)
    assert extract(media, smallest=0.2).crops.computed == 2


def test_crops_that_prove_corrupt_while_they_are_encoded_are_made_again_in_the_same_run(
    media: Media, tmp_path: Path
) -> None:
    extract(media)
    table = tmp_path / "data/features/face/utterance.parquet"
    before = table.read_bytes()
    shutil.rmtree(tmp_path / "cache/face")
    (shard,) = (tmp_path / "cache/face_crops").glob("*.parquet")
    spoilt = bytearray(shard.read_bytes())
    spoilt[len(spoilt) // 3] ^= 0xFF
    shard.chmod(0o644)
    shard.write_bytes(spoilt)
    report = extract(media)
    assert report.crops.computed == 2
    assert table.read_bytes() == before
