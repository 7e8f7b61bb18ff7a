"""From frames to crops: which face, where, and what is stored."""

import cv2
import numpy as np
import pyarrow as pa
import pytest

from mer.encoders.face.align import EYE_DISTANCE, EYE_HEIGHT, crop_face, crop_whole
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import SCHEMA, from_record, to_record
from mer.encoders.face.detection import Detection
from mer.encoders.face.track import choose, link, overlap
from mer.errors import ClipError, MerError
from mer.params import CropParams


def face(left, top, size, score=1.0):
    return Detection(np.array([left, top, left + size, top + size], np.float32), score)


def boxes(track):
    return {index: detection.box[:2].tolist() for index, detection in track.items()}


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photograph")
    return data.astronaut()  # [512, 512, 3]; the face is at about (175, 65) to (275, 165)


def test_largest_central_face_beats_a_larger_one_at_the_border():
    frames = [[face(0, 0, 70), face(130, 90, 60)]] * 3
    assert boxes(choose(link(frames), 240, 320)) == {0: [130, 90], 1: [130, 90], 2: [130, 90]}


def test_a_lasting_face_beats_a_larger_one_that_is_seen_once():
    frames = [[face(130, 90, 60)], [face(132, 90, 60), face(10, 60, 90)], [face(134, 90, 60)]]
    assert boxes(choose(link(frames), 240, 320)) == {0: [130, 90], 1: [132, 90], 2: [134, 90]}


def test_tracks_follow_a_face_that_moves_and_returns_and_do_not_jump_to_its_neighbour():
    frames = [[face(100, 90, 60), face(180, 90, 60)], [face(220, 90, 60)], [face(120, 90, 60), face(190, 90, 60)]]
    assert [boxes(track) for track in link(frames)] == [
        {0: [100, 90], 2: [120, 90]},
        {0: [180, 90], 1: [220, 90], 2: [190, 90]},
    ]


def test_twenty_faces_give_twenty_tracks_of_full_length():
    row = [face(40 * number, 90, 38) for number in range(20)]
    tracks = link([row, row[::-1], row])
    assert [len(track) for track in tracks] == [3] * 20
    assert all(len({detection.box[0] for detection in track.values()}) == 1 for track in tracks)


def test_overlap_of_doubled_boxes_reaches_beyond_the_box():
    assert overlap(face(0, 0, 10).box, face(0, 0, 10).box) == 1.0
    assert overlap(face(0, 0, 10).box, face(10, 0, 10).box) == pytest.approx(1 / 3)
    assert overlap(face(0, 0, 10).box, face(20, 0, 10).box) == 0.0


def test_eyes_come_to_lie_level_at_their_places_whatever_the_tilt():
    image = np.zeros((300, 300, 3), np.uint8)
    eyes = np.array([[120, 170], [180, 110]], np.float32)
    cv2.circle(image, (120, 170), 4, (255, 0, 0), -1)
    cv2.circle(image, (180, 110), 4, (0, 255, 0), -1)
    crop = crop_face(image, Detection(np.array([90, 80, 220, 210], np.float32), 1.0, eyes), 100)
    for channel, x in ((0, 0.5 - EYE_DISTANCE / 2), (1, 0.5 + EYE_DISTANCE / 2)):
        rows, columns = np.nonzero(crop[..., channel] > 128)
        assert rows.mean() == pytest.approx(100 * EYE_HEIGHT, abs=1)
        assert columns.mean() == pytest.approx(100 * x, abs=1)


def test_a_box_crop_of_the_same_scale_copies_pixels_and_repeats_the_border():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    crop = crop_face(image, face(-5, 15, 20), 24)  # 24 pixels of margin-widened box: scale 1
    assert np.array_equal(crop[:, 7:], image[13:37, 0:17])
    assert np.array_equal(crop[:, :7], np.repeat(image[13:37, :1], 7, axis=1))


def test_an_enlarged_crop_keeps_pixel_centres():
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], 60, axis=0).repeat(3, axis=2)
    crop = crop_face(ramp, face(20, 20, 20), 48)  # 24 pixels from 18 to 42, twice as large
    expected = 4 * (18 + (np.arange(48) + 0.5) / 2 - 0.5)
    assert np.abs(crop[24, :, 0] - expected).max() <= 1


def test_whole_frame_keeps_both_ends_of_the_longer_side():
    image = np.zeros((50, 100, 3), np.uint8)
    image[:, :10], image[:, -10:] = 255, 128
    crop = crop_whole(image, 20)
    assert crop.shape == (20, 20, 3)
    assert crop[10, 0, 0] == 255
    assert crop[10, -1, 0] == 128


def test_the_crop_of_a_photograph_is_the_face(astronaut):
    faces = FaceCropper(CropParams()).crop([astronaut], [0.0])
    assert (faces.detected, faces.sampled) == (1, 1)
    assert faces.crops.shape == (1, 112, 112, 3)
    assert overlap(faces.boxes[0], np.array([175, 65, 275, 165], np.float32)) > 0.7


def test_frames_between_the_keyframes_have_the_boxes_of_a_full_search(astronaut):
    shifts = [0, 8, 16, 24, 16, 8, 0, -8]
    frames = [np.roll(astronaut, shift, axis=1) for shift in shifts]
    cropper = FaceCropper(CropParams())
    tracked = cropper.crop(frames, range(8))
    assert tracked.detected == 8
    alone = [cropper.crop([frame], [0.0]).boxes[0] for frame in frames]
    assert min(overlap(a, b) for a, b in zip(tracked.boxes, alone, strict=True)) > 0.7


def test_a_face_seen_only_between_the_keyframes_is_found(astronaut):
    black = np.zeros_like(astronaut)
    faces = FaceCropper(CropParams()).crop([black, black, astronaut, black, black, black], range(6))
    assert (faces.detected, faces.sampled, faces.timestamps.tolist()) == (1, 6, [2.0])


def test_a_face_that_leaves_has_crops_only_while_it_is_there(astronaut):
    black = np.zeros_like(astronaut)
    faces = FaceCropper(CropParams()).crop([astronaut, astronaut, astronaut, black, black, black], range(6))
    assert faces.timestamps.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("shape", [(1, 1, 3), (240, 320, 3), (2, 500, 3)])
def test_frames_without_a_face_are_masked_or_kept_whole(shape):
    frames = [np.zeros(shape, np.uint8)] * 2
    masked = FaceCropper(CropParams()).crop(frames, [0.0, 1.0])
    assert (len(masked.crops), masked.detected, masked.sampled) == (0, 0, 2)
    whole = FaceCropper(CropParams(on_missing="whole_frame")).crop(frames, [0.0, 1.0])
    assert (whole.crops.shape, whole.detected, whole.sampled) == ((2, 112, 112, 3), 0, 2)


def test_a_clip_without_frames_has_no_crops():
    faces = FaceCropper(CropParams()).crop([], [])
    assert (faces.crops.shape, faces.detected, faces.sampled) == ((0, 112, 112, 3), 0, 0)


def test_wrong_frames_are_named():
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], not float32 \[4, 4, 3\]"):
        FaceCropper(CropParams()).crop([np.zeros((4, 4, 3), np.float32)], [0.0])
    with pytest.raises(ValueError, match="1 frames, but 2 timestamps"):
        FaceCropper(CropParams()).crop([np.zeros((4, 4, 3), np.uint8)], [0.0, 1.0])


def test_stored_crops_come_back_close_and_the_second_time_exactly(astronaut):
    faces = FaceCropper(CropParams()).crop([astronaut, astronaut], [0.0, 0.5])
    table = pa.Table.from_pylist([to_record(faces)], schema=SCHEMA)
    stored = from_record(table.to_pylist()[0])
    assert np.abs(stored.crops.astype(int) - faces.crops).mean() < 3
    assert np.array_equal(stored.boxes, faces.boxes)
    assert (stored.detected, stored.sampled, stored.timestamps.tolist()) == (2, 2, [0.0, 0.5])


def test_storing_keeps_colour_at_full_resolution():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 60, 200)
    whole = FaceCropper(CropParams(crop_size=64, on_missing="whole_frame")).crop([stripes], [0.0])
    assert np.abs(from_record(to_record(whole)).crops[0].astype(int) - stripes).max() < 40


def test_a_clip_without_crops_is_stored_with_its_crop_size():
    faces = FaceCropper(CropParams(crop_size=64)).crop([np.zeros((50, 50, 3), np.uint8)], [0.0])
    assert from_record(to_record(faces)).crops.shape == (0, 64, 64, 3)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_damaged_crops_are_a_fault_of_the_clip(astronaut, content):
    record = to_record(FaceCropper(CropParams()).crop([astronaut], [0.0]))
    with pytest.raises(ClipError, match="crop is not readable"):
        from_record(record | {"crops": [content]})


def test_fingerprint_follows_what_decides_the_crops_and_nothing_else():
    base = FaceCropper(CropParams()).fingerprint
    assert FaceCropper(CropParams(max_failed=1.0)).fingerprint == base
    assert FaceCropper(CropParams(crop_size=64)).fingerprint != base
    assert FaceCropper(CropParams(smallest=0.2)).fingerprint != base
    assert FaceCropper(CropParams(on_missing="whole_frame")).fingerprint != base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "faces.detector_model: 'yunet' needs"),
        ({"detector_model": "/nowhere.onnx"}, "faces.detector_model: /nowhere.onnx: No such file"),
        ({"detector_model": __file__}, "is not a YuNet network"),
        ({"detector_model": __file__, "detector_sha256": "0" * 64}, "faces.detector_sha256: "),
    ],
)
def test_a_wrong_detector_file_is_one_clear_line(settings, message):
    with pytest.raises(MerError, match=message):
        FaceCropper(CropParams(detector="yunet", **settings))
