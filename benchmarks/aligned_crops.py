"""Draw docs/aligned.jpg: one photograph turned by five angles, and what Haar's and MediaPipe's crops make of it.

    python -m benchmarks.aligned_crops [--model encoders/mediapipe-face/face_detection_short_range.tflite]

The photograph is NASA's of Eileen Collins, in the public domain, as scikit-image ships it.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
from skimage.data import astronaut

from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.detection import Image
from mer.params import CropParams

ANGLES = (-30, -15, 0, 15, 30)
SIDE = 160


def turned(image: Image, degrees: float) -> Image:
    """The upper part of the picture around the face, turned about it."""
    rotation = cv2.getRotationMatrix2D((225, 110), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, rotation, (450, 300), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="encoders/mediapipe-face/face_detection_short_range.tflite")
    parser.add_argument("--out", default="docs/aligned.jpg")
    arguments = parser.parse_args()
    haar = CropParams(detector="haar", crop_size=SIDE)
    mediapipe = CropParams(detector="mediapipe", detector_model=arguments.model, crop_size=SIDE)
    croppers = [FaceCropper(haar), FaceCropper(mediapipe)]
    columns = []
    for degrees in ANGLES:
        frame = turned(astronaut(), degrees)
        rows = [cv2.resize(frame[:, 75:375], (SIDE, SIDE), interpolation=cv2.INTER_AREA)]
        for cropper in croppers:
            crops = cropper.crop([frame], [0.0]).crops
            rows.append(crops[0] if len(crops) else np.full((SIDE, SIDE, 3), 230, np.uint8))
        columns.append(np.vstack(rows))
    cv2.imwrite(arguments.out, np.hstack(columns)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
