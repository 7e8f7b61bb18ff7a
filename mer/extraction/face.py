"""A view by an encoder of face crops: features of every clip that shows a face."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.crops import from_record
from mer.encoders.face.load import load_face_encoder
from mer.extraction.crops import open_crops
from mer.extraction.features import EncoderWorker, View, for_device, write_features
from mer.extraction.media import Media
from mer.extraction.per_clip import Done
from mer.params import ComputeParams, CropParams, FaceParams

BATCH_CLIPS = 16


def extract_face(name: str, media: Media, params: FaceParams, crops: CropParams, compute: ComputeParams) -> Done:
    """Write the face features of all clips; see `mer.extraction.features.write_features`.

    Raises:
        MerError: `encoder` cannot be loaded.
    """
    encoder = load_face_encoder(params)
    return write_features(
        View(name, params, encoder),
        open_crops(media, crops, compute),
        EncoderWorker(partial(load_face_encoder, params), _images),
        for_device(compute, params.device),
        media.place,
        batch_size=BATCH_CLIPS,
    )


def _images(record: dict[str, Any]) -> NDArray[np.uint8]:
    return from_record(record).crops
