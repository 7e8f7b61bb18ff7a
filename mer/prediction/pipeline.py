"""Many files through decoding, cropping and encoding at once: threads that decode feed processes that encode."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mer.compute.local import cores
from mer.compute.run import map_batches
from mer.errors import ClipError
from mer.params import ComputeParams
from mer.prediction.extractor import Extracted, Extractor, Raw
from mer.prediction.reading import ReadWorker
from mer.prediction.source import Source
from mer.provenance import Provenance

if TYPE_CHECKING:
    from mer.prediction.predictor import Predictor

BATCH = 16
"""Files encoded together."""
MANY = 64
"""Files from which on processes that load the encoders for themselves are worth their start."""


@dataclass(frozen=True)
class EncodeWorker:
    """Loads the encoders of a bundle, once a process."""

    made: Provenance
    missing: Mapping[str, int]

    def setup(self) -> Callable[[Sequence[Raw]], Sequence[Extracted | ClipError]]:
        return Extractor(self.made, self.missing)


@dataclass(frozen=True)
class Loaded:
    """The encoders that this process has already."""

    extractor: Extractor

    def setup(self) -> Callable[[Sequence[Raw]], Sequence[Extracted | ClipError]]:
        return self.extractor


def extracted(
    predictor: Predictor, sources: Sequence[Source], compute: ComputeParams, *, ordered: bool = True
) -> Generator[tuple[int, Extracted | ClipError]]:
    """Features of each file with its place; faults in place of features. In order, or as soon as they are known: then
    no file waits for a slower one before it."""
    params, faults = predictor.params, dict[int, ClipError]()
    face = params.faces if "face" in predictor.modalities else None
    reading = compute.model_copy(update={"workers": compute.workers or min(cores(), max(1, len(sources)))})
    encoding = compute.model_copy(update={"workers": _encoders(compute, len(sources))})
    worker = Loaded(predictor.extractor) if encoding.workers == 1 else EncodeWorker(predictor.made, predictor.missing)
    order: list[int] = []
    with (
        closing(map_batches(ReadWorker(params.decode, face), ([one] for one in sources), reading, quiet=True)) as read,
        closing(
            map_batches(worker, _good(read, faults, order), encoding, total=len(sources), description="predict")
        ) as done,
    ):
        known = _with_faults(((order[number], one) for number, one in done), faults)
        yield from _in_order(known) if ordered else known


def _encoders(compute: ComputeParams, files: int) -> int:
    """How many processes encode: this one alone for few files, and where a GPU does it."""
    if compute.workers:
        return compute.workers
    return 1 if files < MANY or torch.cuda.is_available() else cores()


def _good(
    read: Iterator[tuple[int, Raw | ClipError]], faults: dict[int, ClipError], order: list[int]
) -> Iterator[list[Raw]]:
    """Batches of what was read; notes the places of their files in `order`, and what could not be read in `faults`."""
    batch: list[Raw] = []
    for number, one in read:
        if isinstance(one, ClipError):
            faults[number] = one
            continue
        order.append(number)
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_faults(
    done: Iterator[tuple[int, Extracted | ClipError]], faults: dict[int, ClipError]
) -> Iterator[tuple[int, Extracted | ClipError]]:
    """What is done, and what could not be read as soon as that is noted."""
    for one in done:
        yield one
        while faults:
            yield faults.popitem()
    while faults:
        yield faults.popitem()


def _in_order(known: Iterator[tuple[int, Extracted | ClipError]]) -> Iterator[tuple[int, Extracted | ClipError]]:
    waiting: dict[int, Extracted | ClipError] = {}
    place = 0
    for number, one in known:
        waiting[number] = one
        while place in waiting:
            yield place, waiting.pop(place)
            place += 1
