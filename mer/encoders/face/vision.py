"""Vision models from Hugging Face folders, on single crops or on the clip as a video."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoModel, CLIPVisionModelWithProjection

from mer.compute.device import inference
from mer.encoders.base import Encoder, Features, absent
from mer.encoders.checkpoints.coverage import prove_all_read
from mer.encoders.checkpoints.pretrained import folder_digest, load_model, read_config
from mer.encoders.face.clip import shorten
from mer.encoders.face.crop_encoder import CropEncoder, Crops
from mer.encoders.face.preprocess import read_preprocessing
from mer.encoders.packed import pack_linear_layers
from mer.errors import MerError
from mer.params import FaceParams
from mer.running.foreign import foreign
from mer.store.keys import digest

KEY = "face.encoder"
PROBE = 32
"""Side of the black crop that a model is tried on."""
VERSION = 2
"""Raise when the same input and weights would give other features."""
GOLDEN = "f7a47d7712f878c3"
"""What a fixed input gave under this version: see tests/golden.py."""


def load_vision_encoder(params: FaceParams) -> Encoder[Crops]:
    """The encoder of the folder `face.encoder`.

    CLIP gives its projected image embedding; ViT, DINOv2, BEiT, data2vec-vision and kin the mean of the last hidden
    state over all tokens, as the published features do; VideoMAE the same over the tokens of the whole clip.

    Raises:
        MerError: the folder is incomplete or holds no vision model.
    """
    model = VisionModel(params)
    return VideoEncoder(model, params) if model.frames > 1 else CropEncoder(model, params)


class VisionModel:
    """A vision model with the preprocessing of its folder; `frames` > 1 says that it takes that many at once.

    Making one reads the configuration only; the weights are loaded at the first `embed`.
    """

    def __init__(self, params: FaceParams) -> None:
        with foreign(f"{KEY}: {params.encoder}"):
            self._read(params)

    def _read(self, params: FaceParams) -> None:
        self._params = params
        self._config = read_config(params.encoder, KEY)
        self._is_clip = self._config.model_type in ("clip", "clip_vision_model")
        vision = getattr(self._config, "vision_config", self._config) if self._is_clip else self._config
        if not hasattr(vision, "patch_size") or hasattr(vision, "vision_config"):
            raise MerError(f"{KEY}: {params.encoder} holds '{self._config.model_type}', which is no vision transformer")
        self._preprocessing = read_preprocessing(params.encoder, KEY)
        self.frames = int(getattr(vision, "num_frames", 1))
        self.width = int(vision.projection_dim if self._is_clip else vision.hidden_size)

    @cached_property
    def fingerprint(self) -> str:
        return digest(f"vision-{VERSION}", folder_digest(self._params.encoder), self._params.dtype)

    @cached_property
    def _model(self) -> Any:
        params = self._params
        kind: Any = CLIPVisionModelWithProjection if self._is_clip else AutoModel
        # A ViT folder without a pooler gets a random one; only the tokens are used.
        unused = () if self._is_clip else ("pooler.",)
        model = load_model(kind, params.encoder, KEY, dtype=params.dtype, device=params.device, unused=unused)
        if self._is_clip:
            shorten(model)
        where = f"{KEY}: {params.encoder}"
        with foreign(f"{where}: the model does not run"):
            prove_all_read(model, lambda: self._probe(model), where)
            pack_linear_layers(model)
            self._probe(model)
        return model

    def _probe(self, model: Any) -> None:
        """Run the model once on black crops: what does not fit together raises here, not at the first clip."""
        found = self._vectors(model, np.zeros((self.frames, PROBE, PROBE, 3), np.uint8))
        if found.shape != (1, self.width) or not np.isfinite(found).all():
            raise ValueError(f"it gives {list(found.shape)} instead of numbers [1, {self.width}]")

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        """Vectors [n, width] of crops [n, S, S, 3], or for a video model of clips, [n * frames, S, S, 3]."""
        return self._vectors(self._model, crops)

    def _vectors(self, model: Any, crops: Crops) -> NDArray[np.float32]:
        pixels = self._preprocessing(crops, model.device).to(model.dtype)
        if self.frames > 1:
            pixels = pixels.unflatten(0, (-1, self.frames))
        with inference():
            output = model(pixel_values=pixels)
        vectors = output.image_embeds.float() if self._is_clip else output.last_hidden_state.float().mean(dim=1)
        return np.asarray(vectors.cpu().numpy(), np.float32)


class VideoEncoder:
    """A clip's crops as one video, spread evenly over the model's frames: one vector a clip, nothing to pool."""

    def __init__(self, model: VisionModel, params: FaceParams) -> None:
        if params.frames:
            raise MerError("face.frames: a video model gives one vector a clip, no features of frames")
        self._model = model
        self._clips = max(1, params.batch_frames // model.frames)
        self.dimensions = model.width

    @cached_property
    def fingerprint(self) -> str:
        return digest("video-1", self._model.fingerprint)

    def encode(self, batch: Sequence[Crops]) -> list[Features]:
        """Features of each clip's crops; a clip without crops is absent."""
        results = [absent(self.dimensions, "no face") for _ in batch]
        present = [index for index, crops in enumerate(batch) if len(crops)]
        for start in range(0, len(present), self._clips):
            some = present[start : start + self._clips]
            vectors = self._model.embed(np.concatenate([self._spread(batch[index]) for index in some]))
            for index, vector in zip(some, vectors, strict=True):
                results[index] = Features(vector, frames=len(batch[index]), ok=True)
        return results

    def _spread(self, crops: Crops) -> Crops:
        return crops[np.linspace(0, len(crops) - 1, self._model.frames).round().astype(int)]
