"""The face encoder that `face.encoder` names."""

from __future__ import annotations

from pathlib import Path

from mer.encoders.base import Encoder
from mer.encoders.face.crop_encoder import CropEncoder, Crops
from mer.errors import MerError
from mer.params import FaceParams


def load_face_encoder(params: FaceParams) -> Encoder[Crops]:
    """An encoder of crops, uint8 [n, size, size, 3] in RGB.

    Raises:
        MerError: `face.encoder` is no name, folder or file that an encoder can be made of.
    """
    path = Path(params.encoder)
    if params.encoder == "hog":
        from mer.encoders.face.hog import Hog

        return CropEncoder(Hog(), params)
    if path.is_dir():
        from mer.encoders.face.vision import load_vision_encoder

        return load_vision_encoder(params)
    if path.suffix == ".onnx" and path.is_file():
        from mer.encoders.face.onnx import OnnxModel

        return CropEncoder(OnnxModel(params), params)
    raise MerError(f"face.encoder: '{params.encoder}' is neither 'hog', a Hugging Face folder nor an ONNX file")
