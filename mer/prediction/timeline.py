"""A film as a timeline: utterances where somebody speaks, a prediction each, and what they say smoothed over time."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from mer.compute.threads import OneThread
from mer.encoders.asr.transcript import Word
from mer.encoders.face.cropper import FaceCropper
from mer.media import encode
from mer.media.film_reader import read_frames, read_length, read_sound
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.record import MediaRecord
from mer.prediction.answer import Prediction, Probabilities, likeliest, rounded
from mer.prediction.extractor import Extracted, Raw, raw_of
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.utterances import Cutting, Span, listen, read_span, spans
from mer.prediction.voting import ROWS, predictions, stands_alone
from mer.self_training.bundle import Bundle

BATCH = 16
"""Utterances encoded together."""
SMOOTHING = 5.0
"""Seconds: deviation of the Gaussian with which neighbours count."""
ROUND = 3


@dataclass(frozen=True)
class Utterance:
    """One row of a timeline: from `start` to `end` seconds of the film; `words` have the film's seconds, too.

    `smoothed` is the mean of the probabilities of utterances around, weighted by their length and by a Gaussian of
    their distance; None where no class could be predicted here. `chosen` is the class that the bundle chooses of them,
    as it does of a clip's: not always the likeliest. Targets are the prediction's own: the interval of an utterance
    does not hold for a mean over several.
    """

    start: float
    end: float
    prediction: Prediction
    words: tuple[Word, ...] = ()
    smoothed: Probabilities | None = None
    chosen: str | None = None

    @property
    def label(self) -> str | None:
        """The class after smoothing: the chosen one, the likeliest where none is said to be."""
        if self.smoothed is None or self.chosen is not None:
            return self.chosen
        return max(self.smoothed, key=self.smoothed.__getitem__)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        own = self.prediction.as_dict()
        own |= {"words": [asdict(word) for word in self.words]} if self.words else {}
        smoothed = None if self.smoothed is None else rounded(self.smoothed)
        times = {"start": round(self.start, ROUND), "end": round(self.end, ROUND)}
        return {"path": own.pop("path"), **times, "smoothed_label": self.label, "smoothed": smoothed, **own}

    def __str__(self) -> str:
        told = [f"{self.label}  {likeliest(self.smoothed)}"] if self.smoothed else []
        told += [f"{name} {one}" for name, one in self.prediction.targets.items()]
        text = "; ".join(told) or f"-  {self.prediction.error}"
        return f"{self.start:9.2f} {self.end:9.2f}  {text}  {self.prediction.transcript}".rstrip()


def timeline(
    predictor: Predictor, source: Source, cutting: Cutting = Cutting(), smoothing: float = SMOOTHING
) -> list[Utterance]:
    """Predict each utterance of a film of up to a day.

    One pass finds the speech, another takes the frames; memory holds a stretch of sound, the frames of a batch of
    utterances and the features of a block of them, or of all where a bundle standardises within groups. The sound waits
    in a temporary file, four bytes a sample. In such a bundle, a film without a group is a group of its own. A
    transcript of the whole film says nothing of an utterance and is not used.

    Raises:
        MediaError: the film cannot be decoded.
        MerError: an encoder is missing, or is not the one of training.
    """
    predictor.ready()
    with tempfile.TemporaryFile(prefix="mer-") as spool:
        found = listen(read_sound(source.file, predictor.params.decode), spool)
        seconds = found.samples / RATE or _length(predictor, source)
        cut = spans(found, cutting, seconds)
        voted = list(_voted(predictor, source, cut, spool))
    smoothed = smooth(cut, voted, smoothing)
    return [
        Utterance(start, end, one, tuple(_later(word, start) for word in one.words), near, chosen)
        for (start, end), one, near, chosen in zip(
            cut, voted, smoothed, _chosen(predictor.classifier, smoothed), strict=True
        )
    ]


def _chosen(bundle: Bundle, smoothed: Sequence[Probabilities | None]) -> list[str | None]:
    """The bundle's choice of each utterance's classes; None where there are none."""
    return [
        None if one is None else bundle.classes[int(bundle.choose(np.array([list(one.values())], np.float32))[0])]
        for one in smoothed
    ]


def smooth(cut: Sequence[Span], voted: Sequence[Prediction], deviation: float) -> list[Probabilities | None]:
    """Each utterance's probabilities and those around, weighted; `deviation` 0 leaves them as they are."""
    good = [i for i, one in enumerate(voted) if one.label is not None]
    if not good or not deviation:
        return [dict(one.probabilities) if one.label is not None else None for one in voted]
    names = list(voted[good[0]].probabilities)
    values = np.array([[voted[i].probabilities[name] for name in names] for i in good])
    middles = np.array([sum(cut[i]) / 2 for i in good])
    lengths = np.array([cut[i][1] - cut[i][0] for i in good])
    result: list[Probabilities | None] = [None] * len(voted)
    for place, i in enumerate(good):
        weight = lengths * np.exp(-0.5 * ((middles - middles[place]) / deviation) ** 2)
        result[i] = dict(zip(names, map(float, weight @ values / weight.sum()), strict=True))
    return result


def _voted(predictor: Predictor, source: Source, cut: Sequence[Span], spool: BinaryIO) -> Iterator[Prediction]:
    """Predictions of each utterance, in order; features are kept for a block, or all where one's hang on others'."""
    own = Source(source.path, source.file, source.group or source.path)
    most = ROWS if stands_alone(predictor.classifier) else len(cut)
    waiting: list[Extracted] = []
    for one in _extracted(predictor, source, cut, spool):
        waiting.append(one)
        if len(waiting) == most:
            yield from predictions(predictor.classifier, [own] * most, waiting)
            waiting = []
    yield from predictions(predictor.classifier, [own] * len(waiting), waiting)


def _extracted(predictor: Predictor, source: Source, cut: Sequence[Span], spool: BinaryIO) -> Iterator[Extracted]:
    """Features of each utterance, in order."""
    threads = OneThread()
    waiting: list[Raw] = []
    with closing(_raws(predictor, source, cut, spool)) as raws, _progress(len(cut)) as bar:
        for raw in raws:
            waiting.append(raw)
            if len(waiting) == BATCH:
                yield from _encoded(predictor, waiting, threads)
                waiting = []
            bar.update()
    yield from _encoded(predictor, waiting, threads)


def _encoded(predictor: Predictor, raws: Sequence[Raw], threads: OneThread) -> list[Extracted]:
    threads.take()  # as in training: sums over another number of threads round otherwise
    try:
        return [_light(one) for one in predictor.extractor(raws)] if raws else []
    finally:
        threads.give_back()


def _light(one: Extracted) -> Extracted:
    """Without its pictures: of two hours they are gigabytes."""
    return Extracted(one.features, one.transcript, one.source, one.words, one.seconds, None, one.notes, one.transient)


def _raws(predictor: Predictor, source: Source, cut: Sequence[Span], spool: BinaryIO) -> Generator[Raw]:
    params = predictor.params
    cropper = FaceCropper(params.faces) if "face" in predictor.modalities else None
    frames = _frames(predictor, source, cut) if cropper is not None and params.decode.frames else iter(())
    pending = next(frames, None)
    for number, span in enumerate(cut):
        own: list[tuple[float, bytes]] = []
        if pending is not None and pending[0] == number:
            own, pending = pending[1], next(frames, None)
        sound = read_span(spool, span)
        audio = encode.flac(sound) if len(sound) else None
        times, images = [time for time, _ in own], [image for _, image in own]
        record = MediaRecord(f"{number}", audio, images, times, span[1] - span[0], 0, 0, "", "")
        yield raw_of(record, cropper)


def _frames(
    predictor: Predictor, source: Source, cut: Sequence[Span]
) -> Iterator[tuple[int, list[tuple[float, bytes]]]]:
    """By utterance, the frames at the middles of equal parts of it, with seconds from its start; as in training."""
    count = predictor.params.decode.frames
    wanted = [
        (number, start + (i + 0.5) * (end - start) / count)
        for number, (start, end) in enumerate(cut)
        for i in range(count)
    ]
    found = read_frames(source.file, predictor.params.decode, [time for _, time in wanted])
    for number, group in groupby(found, key=lambda one: wanted[one[0]][0]):
        yield number, [(wanted[place][1] - cut[number][0], image) for place, image in group]


def _length(predictor: Predictor, source: Source) -> float:
    """Seconds of a film without sound: where its last frame is shown."""
    return read_length(source.file, predictor.params.decode)


def _later(word: Word, seconds: float) -> Word:
    return Word(word.text, word.start + seconds, word.end + seconds)


def _progress(total: int) -> tqdm[Any]:
    return tqdm(total=total, desc="timeline", unit="utterance", disable=None, smoothing=0.05)
