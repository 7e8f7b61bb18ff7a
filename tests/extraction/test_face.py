"""Face extraction in two steps: crops are found once, whatever encodes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mer.clips import ClipTable
from mer.extraction.face import FaceReport, extract_face
from mer.media.record import SCHEMA, content
from mer.params import ComputeParams, FaceParams
from mer.store.media import MediaFolder, write_media
from mer.store.tables import read_utterances

data = pytest.importorskip("skimage.data", reason="scikit-image brings the photograph of a face")


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MediaFolder:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    frames = {"astronaut": data.astronaut()[:320, :320], "wall": np.full((240, 320, 3), 90, np.uint8)}
    rows = []
    for clip_id, frame in frames.items():
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
        height, width = frame.shape[:2]
        media = {"audio": None, "frames": [jpeg, jpeg], "timestamps": [0.0, 1.0], "duration": 2.0}
        rows.append({"clip_id": clip_id, **content({**media, "width": width, "height": height})})
    write_media(tmp_path / "media", [pa.Table.from_pylist(rows, schema=SCHEMA)])
    return MediaFolder(tmp_path / "media")


def extract(media: MediaFolder, out: Path, **params: object) -> FaceReport:
    rows = pd.DataFrame({"clip_id": ["wall", "quarantined", "astronaut"], "split": "unlabeled"})
    face = FaceParams.model_validate(params)
    return extract_face(ClipTable(rows, ("a", "b")), media, face, ComputeParams(workers=1), out)


def test_clips_without_a_face_or_without_media_are_masked(media: MediaFolder, tmp_path: Path) -> None:
    report = extract(media, tmp_path / "out")
    table = read_utterances(tmp_path / "out/utterance.parquet")
    assert table.clip_ids == ["wall", "quarantined", "astronaut"]
    assert table.ok.tolist() == [False, False, True]
    assert not table.embeddings[:2].any()
    assert report.detection["clips_with_face"] == 0.5
    assert report.detection["detection_rate"] == 0.5


def test_another_encoding_runs_no_detection_again(media: MediaFolder, tmp_path: Path) -> None:
    extract(media, tmp_path / "out")
    report = extract(media, tmp_path / "out", pooling="mean")
    assert (report.crops.done, report.crops.cached) == (0, 2)
    assert report.features.done == 2


def test_another_detector_setting_runs_detection_again(media: MediaFolder, tmp_path: Path) -> None:
    extract(media, tmp_path / "out")
    assert extract(media, tmp_path / "out", smallest=0.2).crops.done == 2
