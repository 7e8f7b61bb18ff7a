"""The face detector and the face encoder that params name."""

from __future__ import annotations

from pathlib import Path

from mer.encoders.base import Encoder
from mer.encoders.face.crop_encoder import CropEncoder, Crops
from mer.encoders.face.detection import FaceDetector
from mer.errors import MerError
from mer.params import CropParams, FaceParams


def load_detector(params: CropParams) -> FaceDetector:
    """The detector that `faces.detector` names.

    Raises:
        MerError: `faces.detector_model` is missing, is another network, or not the file that `faces.detector_sha256`
            promises.
    """
    if params.detector == "haar":
        from mer.encoders.face.haar import HaarDetector

        return HaarDetector()
    if params.detector_model is None:
        kind = "ONNX" if params.detector == "yunet" else "TFLite"
        raise MerError(f"faces.detector_model: '{params.detector}' needs the path of its {kind} file")
    if params.detector == "mediapipe":
        from mer.encoders.face.mediapipe import MediaPipeDetector

        return MediaPipeDetector(params.detector_model, sha256=params.detector_sha256)
    from mer.encoders.face.yunet import YuNetDetector

    return YuNetDetector(params.detector_model, sha256=params.detector_sha256)


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
