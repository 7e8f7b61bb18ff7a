"""The face encoder that `face.encoder` names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer.encoders.base import Encoder
from mer.encoders.face.hog import HogEncoder
from mer.errors import MerError
from mer.params import FaceParams


def load_face_encoder(params: FaceParams) -> Encoder[NDArray[np.uint8]]:
    """An encoder of crops, uint8 [n, size, size, 3] in RGB.

    Raises:
        MerError: `face.encoder` is no name, folder or file that an encoder can be made of.
    """
    if params.encoder == "hog":
        return HogEncoder(params)
    raise MerError(f"face.encoder: '{params.encoder}' is neither 'hog', a Hugging Face folder nor an ONNX file")
