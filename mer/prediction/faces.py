"""Every face of a clip: where and when it is, what it alone says, and whether it is the one that speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mer.compute.threads import OneThread
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import FaceCrops, from_record, to_record
from mer.errors import MerError
from mer.media import encode
from mer.media.film_reader import read_frames
from mer.media.rate import SAMPLE_RATE
from mer.media.record import MediaRecord
from mer.media.sandbox import Sandbox
from mer.prediction.answer import Prediction
from mer.prediction.extractor import Raw
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.speaking import correlation, levels, motion, wanted_times, who_speaks
from mer.prediction.voting import predictions


@dataclass(frozen=True)
class Face:
    """One face of a clip. `prediction` is that of the clip with this face as its face; in `prediction.faces` lie its
    crops, boxes [n, 4] (left, top, right, bottom in pixels of the decoded frame) and times. `correlation` is that of
    its mouth's motion with the sound, `speaks` whether it is the one that speaks; None where nothing tells."""

    number: int
    prediction: Prediction
    correlation: float
    speaks: bool | None

    @property
    def track(self) -> FaceCrops:
        assert self.prediction.faces is not None
        return self.prediction.faces

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        own = self.prediction.as_dict()
        boxes = np.round(self.track.boxes.astype(float), 1).tolist()
        times = np.round(self.track.timestamps, 3).tolist()
        more = {"face": self.number, "speaks": self.speaks, "correlation": round(self.correlation, 4)}
        return {"path": own.pop("path"), **more, "times": times, "boxes": boxes, **own}

    def __str__(self) -> str:
        told = {True: "  speaks", False: "", None: ""}[self.speaks]
        start, end = self.track.timestamps[0], self.track.timestamps[-1]
        return f"{self.prediction}  face {self.number} ({start:.2f}-{end:.2f} s){told}"


def predict_faces(predictor: Predictor, source: Source) -> list[Face]:
    """Predict a clip once for each face in it, the most prominent first; [] where it shows none.

    Raises:
        MediaError: the clip cannot be decoded.
        MerError: the bundle does not look at faces, or an encoder is missing.
    """
    if "face" not in predictor.modalities:
        raise MerError(f"{predictor.folder}: --faces all: this bundle looks at {', '.join(predictor.views)} alone")
    params = predictor.params
    predictor.ready()
    with Sandbox(params.decode) as sandbox:
        record = MediaRecord(clip_id=source.path, **sandbox.decode(source.file))
    tracks = FaceCropper(params.faces).crop_all(record.images(), record.timestamps)
    if not tracks:
        return []
    notes = tuple(f"{note.error}: {note.message}" for note in record.notes)
    raws = [Raw(record.audio, to_record(track), record.duration, source.transcript, notes) for track in tracks]
    threads = OneThread()
    threads.take()  # as in training: sums over another number of threads round otherwise
    try:
        found = predictor.extractor(raws)
    finally:
        threads.give_back()
    alone = source if source.group is not None else replace(source, group=source.path)
    voted = predictions(predictor.classifier, [alone] * len(found), found)
    moves = _correlations(predictor, source, record, tracks)
    speaker = who_speaks(moves)
    return [
        Face(number, one, move, None if speaker is None else number == speaker)
        for number, (one, move) in enumerate(zip(voted, moves, strict=True))
    ]


def _correlations(
    predictor: Predictor, source: Source, record: MediaRecord, tracks: Sequence[FaceCrops]
) -> list[float]:
    times = wanted_times(record.duration)
    if record.audio is None or not times:
        return [0.0] * len(tracks)
    read = [(times[i], encode.image(image)) for i, image in read_frames(source.file, predictor.params.decode, times)]
    seen, frames = [time for time, _ in read], [frame for _, frame in read]
    sound = levels(record.waveform(), seen, SAMPLE_RATE)
    found = []
    for track in tracks:
        face = from_record(to_record(track))
        inside = [i for i, time in enumerate(seen) if face.timestamps[0] - 1 <= time <= face.timestamps[-1] + 1]
        moves = motion([frames[i] for i in inside], [seen[i] for i in inside], face)
        found.append(correlation(moves, sound[inside]))
    return found
