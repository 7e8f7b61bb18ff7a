"""A bundle with its encoders: predicts any number of files."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mer.about import warning
from mer.errors import ClipError, MerError
from mer.params import ComputeParams, ImportParams, Params
from mer.prediction.answer import Prediction
from mer.prediction.source import Source
from mer.prediction.voting import failed, predictions, stands_alone
from mer.provenance import Provenance, read_provenance
from mer.self_training.bundle import Bundle
from mer.self_training.bundle_reading import load_bundle as load_classifier

if TYPE_CHECKING:
    from mer.prediction.extractor import Extracted, Extractor, Raw

BATCH = 32
"""Files whose votes are taken together."""


class Predictor:
    """A bundle and, from the first prediction on, its encoders.

    Making one reads the classifier only, in a moment; `ready` loads the encoders and holds them against those that the
    bundle was trained with, as the first prediction does.

    Example, with a bundle and a file of yours:
        >>> from mer import load_bundle
        >>> bundle = load_bundle("data/models/bundle")
        >>> bundle.classes
        ('happy', 'sad', 'angry')
        >>> [prediction] = bundle.predict(["clip.wav"], transcripts=["太好了真开心"])
        >>> prediction.label
        'happy'
        >>> max(prediction.probabilities, key=prediction.probabilities.get)
        'happy'
        >>> prediction.modalities
        {'text': True}

    Args:
        folder: the bundle's, or the file that `mer bundle pack` wrote.
        weights: where encoders lie now, by the names of their views, `detector` and `asr`; without it they are looked
            for in the bundle, then where they were in training.

    Raises:
        MerError: the bundle is missing, broken or of another version.
    """

    def __init__(self, folder: str | Path, weights: Mapping[str, str] | None = None) -> None:
        self._unpacked = _unpacked(Path(folder))
        self.folder = Path(folder) if self._unpacked is None else Path(self._unpacked.name)
        self.classifier: Bundle = load_classifier(self.folder)
        self.warning = warning(self.classifier.extra)
        """What to know before believing a prediction, in a line; None where nothing speaks against it."""
        self.made: Provenance = read_provenance(self.classifier.extra, self.folder, weights or {})
        self.params: Params = self.made.params
        if set(self.params.views) != set(self.classifier.standardisation.standardisers):
            raise MerError(f"{self.folder}: its views are not those that its params name: train it again")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities; none where it predicts targets alone."""
        return self.classifier.classes

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the numbers that are predicted beside the classes, or alone."""
        return () if self.classifier.numbers is None else self.classifier.numbers.targets

    @property
    def views(self) -> tuple[str, ...]:
        """What the bundle looks at."""
        return tuple(self.classifier.standardisation.standardisers)

    @property
    def missing(self) -> dict[str, int]:
        """Views that were imported, and their widths: nothing here can make them of a new file."""
        views, fitted = self.params.views, self.classifier.standardisation.standardisers
        return {name: len(fitted[name].mean) for name in self.views if isinstance(views[name], ImportParams)}

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the views that are made of a new file."""
        of = self.params.views
        return tuple(dict.fromkeys(of[name].modality for name in self.views if name not in self.missing))

    @property
    def by_group(self) -> bool:
        """Whether clips are standardised within their group: then they should come together, with their groups."""
        return not stands_alone(self.classifier)

    @cached_property
    def extractor(self) -> Extractor:
        """The encoders; a `MerError` names one that is missing, or is another than in training."""
        from mer.prediction.extractor import Extractor  # here, so that loading waits for no encoder

        return Extractor(self.made, self.missing)

    def ready(self) -> Predictor:
        """Load and check the encoders now."""
        _ = self.extractor
        return self

    def predict(
        self,
        paths: str | Path | Iterable[str | Path],
        transcripts: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
        *,
        workers: int = 1,
    ) -> list[Prediction]:
        """Predict video or audio files; one that does not decode gives a `Prediction` with an error.

        Args:
            paths: one file, or several.
            transcripts: what is said in each, empty or None where it is not known: then the recogniser of training
                listens, if there was one.
            groups: the speaker or session of each, None where it is not known; used by a bundle that standardises
                within groups. Files of this call without a group then make one group together.
            workers: processes that encode; each loads the encoders. More than one needs a script that can be imported
                (`if __name__ == "__main__":`).

        Raises:
            MerError: an encoder is missing, or is not the one of training.
        """
        files = [os.fspath(paths)] if isinstance(paths, str | Path) else [os.fspath(path) for path in paths]
        texts, names = _as_many(transcripts, files, "transcripts"), _as_many(groups, files, "groups")
        listed = zip(files, names, texts, strict=True)
        sources = [Source(file, file, group or None, text or "") for file, group, text in listed]
        return [prediction for _, prediction in self.stream(sources, ComputeParams(workers=workers))]

    def predict_raw(self, raws: Sequence[Raw], sources: Sequence[Source]) -> list[Prediction]:
        """Predict what is decoded already."""
        return predictions(self.classifier, sources, self.extractor(raws))

    def stream(
        self, sources: Sequence[Source], compute: ComputeParams, *, ordered: bool = True
    ) -> Generator[tuple[int, Prediction]]:
        """Each file's place and prediction as soon as they are known, in order unless that does not matter.

        Where clips are standardised within groups that is when all are read.
        """
        alone = stands_alone(self.classifier)
        waiting: list[tuple[int, Extracted | ClipError]] = []
        with closing(self.extracted(sources, compute, ordered=ordered)) as found:
            for number, one in found:
                waiting.append((number, one))
                if alone and len(waiting) == BATCH:
                    yield from self._predicted(sources, waiting)
                    waiting = []
        yield from self._predicted(sources, waiting)

    def extracted(
        self, sources: Sequence[Source], compute: ComputeParams, *, ordered: bool = True
    ) -> Generator[tuple[int, Extracted | ClipError]]:
        """Features of each file with its place, in order unless that does not matter."""
        from mer.prediction.pipeline import extracted

        self.ready()
        yield from extracted(self, sources, compute, ordered=ordered)

    def _predicted(
        self, sources: Sequence[Source], found: Sequence[tuple[int, Extracted | ClipError]]
    ) -> Iterator[tuple[int, Prediction]]:
        good = [(number, one) for number, one in found if not isinstance(one, ClipError)]
        voted = predictions(self.classifier, [sources[number] for number, _ in good], [one for _, one in good])
        by_number = {number: prediction for (number, _), prediction in zip(good, voted, strict=True)}
        for number, one in found:
            yield number, failed(sources[number], one) if isinstance(one, ClipError) else by_number[number]


def _unpacked(path: Path) -> TemporaryDirectory[str] | None:
    """A packed bundle in a folder that goes with who holds it; None where `path` is no file."""
    if not path.is_file():
        return None
    from mer.prediction.packing import unpack

    folder = TemporaryDirectory(prefix="mer-")
    unpack(path, folder.name)
    return folder


def _as_many(values: Sequence[str | None] | None, files: Sequence[str], name: str) -> Sequence[str | None]:
    if values is None:
        return [None] * len(files)
    if isinstance(values, str):
        values = [values]
    if len(values) != len(files):
        raise MerError(f"{len(values)} {name} for {len(files)} files")
    return values
