"""Frames of a clip in, crops of its main face out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256

import cv2
import numpy as np

from mer.encoders.face.align import crop_face, crop_whole
from mer.encoders.face.crops import FaceCrops, to_record
from mer.encoders.face.detection import Box, Detection, FaceDetector, Image
from mer.encoders.face.load import load_detector
from mer.encoders.face.probe import frames
from mer.encoders.face.track import LEAST_OVERLAP, Track, choose, link, overlap, prominence
from mer.params import CropParams
from mer.store.keys import digest

VERSION = 2
"""Raise when the same frames and params would give other crops."""
GOLDEN = "e4d883411c40f9aa"
"""What a fixed input gave under this version: see tests/golden.py."""
KEYFRAMES = 3
"""Frames searched whole. In the others the face is searched near where it was last seen, at a fraction of the cost."""
NEARBY = 2.0
"""Side of that search window over side of the face: the face may have moved by half its width."""
SMALLEST_NEARBY = 0.5
"""Smallest face looked for there, over the face's size where it was last seen."""


class FaceCropper:
    """Detects, tracks, aligns and crops the main face of one clip at a time."""

    def __init__(self, params: CropParams) -> None:
        """Raises `MerError` where the detector of `faces.detector` cannot be loaded."""
        self._detector: FaceDetector = load_detector(params)
        self._smallest = params.smallest
        self._size = params.crop_size
        self._whole_frames = params.on_missing == "whole_frame"
        self._config = [VERSION, self._detector.fingerprint, params.smallest, params.crop_size, params.on_missing]
        self.fingerprint = digest(self._config)
        """Hex digest of all that decides the crops; the encoder is no part of it."""

    @cached_property
    def compatible(self) -> str:
        """The same without OpenCV's version, but with what this one makes of a probe picture: where it is equal,
        crops are, too."""
        found = [to_record(self.crop([frame], [0.0])) for frame in frames()]
        seen = [[[sha256(crop).hexdigest() for crop in of["crops"]], np.round(of["boxes"], 2).tolist()] for of in found]
        return digest(str(self._config).replace(cv2.__version__, "*"), seen)

    def crop(self, frames: Sequence[Image], timestamps: Sequence[float]) -> FaceCrops:
        """Crops of the main face, in the order of `frames` (uint8 [H, W, 3] in RGB, at `timestamps` in seconds).

        Where no frame shows a face, `faces.on_missing` decides: no crops, or every frame whole.

        Raises:
            ValueError: a frame has another shape or type, or there is not one timestamp a frame.
        """
        _check(frames, timestamps)
        track = self._find(frames)
        detected = len(track)
        if track:
            crops = [crop_face(frames[index], face, self._size) for index, face in track.items()]
        elif self._whole_frames:
            crops = [crop_whole(frame, self._size) for frame in frames]
            track = {
                i: Detection(np.array([0, 0, f.shape[1], f.shape[0]], np.float32), 0.0) for i, f in enumerate(frames)
            }
        else:
            crops = []
        return FaceCrops(
            np.array(crops, np.uint8).reshape(-1, self._size, self._size, 3),
            np.array([face.box for face in track.values()], np.float32).reshape(-1, 4),
            np.array([face.score for face in track.values()], np.float32),
            np.array([timestamps[index] for index in track], np.float64),
            detected,
            len(frames),
        )

    def crop_all(self, frames: Sequence[Image], timestamps: Sequence[float]) -> list[FaceCrops]:
        """Crops of every face that is followed through the frames, the most prominent first; [] where there is none.

        Every frame is searched whole, then near each face, as `crop` does for the main face.
        """
        _check(frames, timestamps)
        tracks = link([self._detector.detect(frame, self._smallest) for frame in frames])
        height, width = frames[0].shape[:2] if frames else (1, 1)
        tracks.sort(key=lambda track: -sum(prominence(face.box, height, width) for face in track.values()))
        near = [{i: self._near(frames[i], face.box) or face for i, face in track.items()} for track in tracks]
        return [self._crops(frames, timestamps, track) for track in near]

    def _crops(self, frames: Sequence[Image], timestamps: Sequence[float], track: Track) -> FaceCrops:
        crops = [crop_face(frames[index], face, self._size) for index, face in track.items()]
        return FaceCrops(
            np.array(crops, np.uint8).reshape(-1, self._size, self._size, 3),
            np.array([face.box for face in track.values()], np.float32).reshape(-1, 4),
            np.array([face.score for face in track.values()], np.float32),
            np.array([timestamps[index] for index in track], np.float64),
            len(track),
            len(frames),
        )

    def _find(self, frames: Sequence[Image]) -> Track:
        """The main face by frame index, in order; {} where there is none."""
        keys = sorted({int(i) for i in np.linspace(0, len(frames) - 1, KEYFRAMES).round()}) if frames else []
        track = self._main_face(frames, keys)
        if not track:
            return self._main_face(frames, [index for index in range(len(frames)) if index not in keys])
        for index in sorted(set(range(len(frames))) - set(keys), key=lambda i: (_distance(i, keys), i)):
            nearest = min(track, key=lambda known: (abs(known - index), known))
            face = self._near(frames[index], track[nearest].box)
            if face is not None:
                track[index] = face
        return dict(sorted(track.items()))

    def _main_face(self, frames: Sequence[Image], indices: Sequence[int]) -> Track:
        if not indices:
            return {}
        tracks = link([self._detector.detect(frames[index], self._smallest) for index in indices])
        height, width = frames[indices[0]].shape[:2]
        # Looked at again from near: then every box comes from the same search, and the crops keep one scale.
        chosen = {indices[place]: face for place, face in choose(tracks, height, width).items()}
        return {index: self._near(frames[index], face.box) or face for index, face in chosen.items()}

    def _near(self, frame: Image, box: Box) -> Detection | None:
        """The face of `frame` that is most at the place of `box`, if one is there."""
        half = NEARBY * float((box[2:] - box[:2]).max()) / 2
        centre = (box[:2] + box[2:]) / 2
        left, top = np.maximum(0, np.floor(centre - half)).astype(int)
        right, bottom = np.ceil(centre + half).astype(int)
        window = frame[top:bottom, left:right]
        if not window.size:
            return None
        found = self._detector.detect(np.ascontiguousarray(window), SMALLEST_NEARBY / NEARBY)
        corner = np.array([left, top], np.float32)
        moved = [_shifted(face, corner) for face in found]
        best = max(moved, key=lambda face: overlap(face.box, box), default=None)
        return best if best is not None and overlap(best.box, box) >= LEAST_OVERLAP else None


def _shifted(face: Detection, corner: Box) -> Detection:
    eyes = None if face.eyes is None else face.eyes + corner
    return Detection(face.box + np.tile(corner, 2), face.score, eyes)


def _distance(index: int, keys: Sequence[int]) -> int:
    return min(abs(index - key) for key in keys)


def _check(frames: Sequence[Image], timestamps: Sequence[float]) -> None:
    if len(frames) != len(timestamps):
        raise ValueError(f"{len(frames)} frames, but {len(timestamps)} timestamps")
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise ValueError(f"a frame is uint8 [H, W, 3], not {frame.dtype} {list(frame.shape)}")
