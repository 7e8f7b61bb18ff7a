"""Face models as ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer.encoders.checkpoints.pretrained import first_line
from mer.encoders.face.crop_encoder import Crops
from mer.encoders.face.preprocess import LARGEST_SIDE, Preprocessing
from mer.errors import MerError
from mer.params import FaceParams
from mer.running.foreign import foreign
from mer.store.keys import digest

KEY = "face.encoder"
VERSION = 1
"""Raise when the same crops would give other vectors."""
GOLDEN = "771531e155b7b1b6"
"""What a fixed input gave under this version: see tests/golden.py."""
BILINEAR = 2
LARGEST_BATCH = 4096


class OnnxModel:
    """A network with one image input, [n, 3, H, W] or [n, H, W, 3], and vectors [n, D] as output.

    What `face.onnx` leaves open is read from the file: the size from the input's shape, mean and deviation from its
    metadata (`image_mean`, `image_std` as JSON lists, on pixels in 0..1), the output where there is only one.
    """

    def __init__(self, params: FaceParams) -> None:
        """Raises `MerError` where the file is not such a network."""
        with foreign(f"{KEY}: {params.encoder}"):
            self._read(params)

    def _read(self, params: FaceParams) -> None:
        self._path = params.encoder
        self._session = _session(self._path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(f"'{one.name}'" for one in inputs)
            raise MerError(f"{KEY}: {self._path} has {len(inputs)} inputs ({names}); a face model has one image input")
        self._input = inputs[0]
        self._channels_last, self._fixed_batch, size = _layout(self._input.shape, params.onnx.size, self._path)
        self._output = _output([one.name for one in self._session.get_outputs()], params.onnx.output, self._path)
        mean, deviation = _normalisation(self._session.get_modelmeta().custom_metadata_map, params)
        self._bgr = params.onnx.channels == "bgr"
        self._preprocessing = Preprocessing(size, None, BILINEAR, 1 / 255, mean, deviation)
        content = hashlib.sha256(Path(self._path).read_bytes()).hexdigest()
        self.fingerprint = digest(f"onnx-{VERSION}", content, size, str(mean), str(deviation), self._output, self._bgr)
        black = self.embed(np.zeros((1, size, size, 3), np.uint8))
        if not np.isfinite(black).all():
            raise MerError(f"{KEY}: {self._path}: gives values that are not finite numbers")
        self.width = black.shape[1]

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        step = self._fixed_batch or len(crops)
        parts = [self._run(crops[start : start + step]) for start in range(0, len(crops), step)]
        return np.concatenate(parts)

    def _run(self, crops: Crops) -> NDArray[np.float32]:
        pixels = self._preprocessing(crops[..., ::-1] if self._bgr else crops, torch.device("cpu")).numpy()
        missing = max(0, self._fixed_batch - len(crops))
        pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        if self._channels_last:
            pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        if self._input.type == "tensor(float16)":
            pixels = pixels.astype(np.float16)
        try:
            (vectors,) = self._session.run([self._output], {self._input.name: pixels})
        except Exception as error:  # onnxruntime's own errors share no base class but Exception
            raise MerError(f"{KEY}: {self._path}: {first_line(error)}") from None
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim < 2 or vectors.size != vectors.shape[0] * vectors.shape[1]:
            shape = list(vectors.shape)
            raise MerError(
                f"face.onnx.output: '{self._output}' of {self._path} has shape {shape}, not one vector a crop"
            )
        return vectors.reshape(len(vectors), -1)[: len(crops)]


def _session(path: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MerError(f"{KEY}: {path} needs ONNX Runtime: pip install 'mer[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class but Exception
        raise MerError(f"{KEY}: {path}: not a readable ONNX model: {first_line(error)}") from None


def _layout(shape: list[int | str | None], size: int | None, path: str) -> tuple[bool, int, int]:
    """Whether channels come last, the batch that the model insists on (0 for any) and the side of its input."""
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise MerError(f"{KEY}: {path} takes input of shape {shape}, not [n, 3, H, W] or [n, H, W, 3]")
    channels_last = shape[1] != 3
    height, width = shape[1:3] if channels_last else shape[2:4]
    fixed = {side for side in (height, width) if isinstance(side, int)}
    if len(fixed) > 1 or (size is not None and fixed and fixed != {size}):
        raise MerError(f"face.onnx.size: {path} takes input of shape {shape}, not squares of {size or 'one size'}")
    side = size or next(iter(fixed), None)
    if side is not None and not 1 <= side <= LARGEST_SIDE:
        raise MerError(f"{KEY}: {path} takes images of {side} pixels; at most {LARGEST_SIDE} can be")
    if isinstance(shape[0], int) and not 0 <= shape[0] <= LARGEST_BATCH:
        raise MerError(f"{KEY}: {path} takes {shape[0]} images at once; at most {LARGEST_BATCH} can be")
    if side is None:
        raise MerError(f"face.onnx.size: {path} takes images of any size; say which")
    return channels_last, shape[0] if isinstance(shape[0], int) else 0, side


def _output(names: list[str], wanted: str | None, path: str) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        found = ", ".join(f"'{name}'" for name in names)
        raise MerError(f"face.onnx.output: {path} has the outputs {found}; name one of them")
    return str(wanted)


def _normalisation(metadata: dict[str, str], params: FaceParams) -> tuple[tuple[float, ...], tuple[float, ...]]:
    values = []
    for given, name, default in ((params.onnx.mean, "image_mean", 0.0), (params.onnx.deviation, "image_std", 1.0)):
        read = tuple(json.loads(metadata[name])) if given is None and name in metadata else given
        numbers = tuple(map(float, read)) if read is not None else (default,) * 3
        if len(numbers) != 3 or not all(map(math.isfinite, numbers)) or (name == "image_std" and 0 in numbers):
            raise MerError(f"{KEY}: {params.encoder}: {name} is not three finite numbers")
        values.append(numbers)
    return values[0], values[1]
