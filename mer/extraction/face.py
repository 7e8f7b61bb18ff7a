"""The extract_face stage: crops of the main face, kept for any number of encoders, then face features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import SCHEMA, from_record, to_record
from mer.encoders.face.load import load_face_encoder
from mer.errors import ClipError
from mer.extraction.features import EncoderWorker, for_device, write_features
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.settings import deciding
from mer.media.record import MediaRecord
from mer.params import ComputeParams, FaceParams
from mer.store.manifest import Made

NAME, CROPS = "face", "face_crops"
STAGE = "extract_face"
BATCH_CLIPS = 16


@dataclass(frozen=True)
class CropWorker:
    """Finds and crops the main face of decoded clips."""

    params: FaceParams

    def setup(self) -> Callable[[Sequence[MediaRecord]], list[dict[str, Any] | ClipError]]:
        cropper = FaceCropper(self.params)
        return lambda batch: [to_record(cropper.crop(record.images(), record.timestamps)) for record in batch]


@dataclass(frozen=True)
class FaceReport:
    """What the two steps did, and how well faces were found.

    `detection` holds `clips_with_face` and `detection_rate`, shares of the clips with frames and of their sampled
    frames, and `mean_score` over the frames with a face, on the detector's scale.
    """

    crops: Done
    features: Done
    detection: dict[str, float]


def extract_face(media: Media, params: FaceParams, compute: ComputeParams, place: Place) -> FaceReport:
    """Write the face features of all clips; see `mer.extraction.features.write_features`.

    Raises:
        MerError: the detector or the encoder that `face` names cannot be loaded.
    """
    encoder = load_face_encoder(params)

    def encode(crops: Done) -> FaceReport:
        features = write_features(
            NAME,
            Made(STAGE, encoder.fingerprint, params.encoder, deciding(params), getattr(encoder, "compatible", "")),
            encoder.dimensions,
            Content(crops.keys, crops.read),
            EncoderWorker(partial(load_face_encoder, params), _images),
            Limits("face", params.max_failed, params.max_lost),
            for_device(compute, params.device),
            place,
            batch_size=BATCH_CLIPS,
            with_frames=params.frames,
        )
        return FaceReport(crops, features, _detection(crops))

    return run_per_clip(_crop_step(params), _frames(media), compute, place, encode)


def _crop_step(params: FaceParams) -> Step[MediaRecord]:
    name = params.detector if params.detector_model is None else f"{params.detector} {params.detector_model}"
    cropper = FaceCropper(params)
    made = Made(STAGE, cropper.fingerprint, name, deciding(params), cropper.compatible)
    return Step(
        CROPS, SCHEMA, made, CropWorker(params), Limits("face", params.max_failed, params.max_lost), BATCH_CLIPS
    )


def _frames(media: Media) -> Content[MediaRecord]:
    def load(clip_ids: Sequence[str]) -> Iterator[tuple[str, MediaRecord]]:
        for record in media.records(clip_ids, ["frames", "timestamps"]):
            yield record.clip_id, record

    return Content(media.digests("frames_sha256"), load)


def _images(record: dict[str, Any]) -> NDArray[np.uint8]:
    return from_record(record).crops


def _detection(crops: Done) -> dict[str, float]:
    clips = with_face = sampled = detected = 0
    scores = 0.0
    for row in crops.rows(["detected", "sampled", "scores"]):
        if row is not None:
            clips += 1
            with_face += row["detected"] > 0
            sampled += row["sampled"]
            detected += row["detected"]
            scores += float(np.sum(row["scores"]))
    return {
        "clips_with_face": round(with_face / max(1, clips), 6),
        "detection_rate": round(detected / max(1, sampled), 6),
        "mean_score": round(scores / max(1, detected), 6),
    }
