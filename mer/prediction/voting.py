"""Features to predictions: the bundle's vote, the same to the last bit whatever company a file comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mer.errors import ClipError, MachineError
from mer.learning.frames import FrameFeatures, FrameList, some_of
from mer.prediction.answer import Estimate, Prediction
from mer.prediction.source import Source
from mer.self_training.bundle import Bundle, Votes

if TYPE_CHECKING:
    from mer.prediction.extractor import Extracted

ROWS = 32
"""Clips of one vote: always as many, for a product of another size may round otherwise."""
TOGETHER = "\0"
"""The group of clips whose group nobody knows. Their own mean is nearer to their speaker's than the corpus' is: of
simulated speakers it predicts .98 right with 8 clips of one at hand and .93 of several mixed, the corpus' .84."""


def stands_alone(bundle: Bundle) -> bool:
    """Whether what a clip gets hangs on that clip alone, and not on others of its group."""
    return not _votes_by_group(bundle) and not _counts_by_group(bundle)


def _votes_by_group(bundle: Bundle) -> bool:
    return bundle.standardisation.name == "group"


def _counts_by_group(bundle: Bundle) -> bool:
    """Of targets, which may be standardised otherwise than classes are."""
    return bundle.numbers is not None and bundle.numbers.standardisation.name == "group"


def predictions(bundle: Bundle, sources: Sequence[Source], found: Sequence[Extracted]) -> list[Prediction]:
    """What the bundle says of some files; all of a group must be there at once."""
    if not found:
        return []
    names = tuple(bundle.standardisation.standardisers)
    features = {name: np.stack([one.features[name].embedding for one in found]) for name in names}
    present = {name: np.array([one.features[name].ok for one in found]) for name in names}
    frames = {
        name: FrameList([one.features[name].values for one in found], len(of.standardiser.mean))
        for name, of in bundle.standardisation.frames.items()
    }
    groups = np.array([TOGETHER if source.group is None else source.group for source in sources], object)
    if _votes_by_group(bundle):
        votes = bundle.votes(features, present, groups, frames)
    else:
        votes = _in_blocks(bundle, features, present, frames)
    targets = _targets(bundle, features, present, groups, frames)
    views = bundle.standardisation.views
    parts = {**views.by_modality, **views.single}
    alone = votes.by_part(list(parts))
    return [
        _prediction(bundle, source, one, votes, _there(alone, parts, names, one), targets[i], i)
        for i, source, one in zip(count(), sources, found, strict=False)
    ]


def _there(
    alone: Mapping[str, NDArray[np.float32]],
    parts: Mapping[str, Sequence[int]],
    names: Sequence[str],
    one: Extracted,
) -> dict[str, NDArray[np.float32]]:
    """Of the parts alone, those of which a clip has a view."""
    return {part: of for part, of in alone.items() if any(one.features[names[place]].ok for place in parts[part])}


def failed(source: Source, error: ClipError) -> Prediction:
    """Of a file that cannot be predicted."""
    again = error.transient or isinstance(error, MachineError)
    return Prediction(source.path, None, {}, {}, str(error), group=source.group, transient=again)


def _blocks(number: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows of each block, the last clip again to fill it, and how many of them are no such filling."""
    for start in range(0, number, ROWS):
        yield np.minimum(np.arange(start, start + ROWS), number - 1), min(ROWS, number - start)


def _targets(
    bundle: Bundle,
    features: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    groups: NDArray[np.object_],
    frames: Mapping[str, FrameFeatures],
) -> list[dict[str, Estimate]]:
    """The numbers of each clip, where the bundle predicts any."""
    number = len(groups)
    if bundle.numbers is None:
        return [{}] * number
    blocks = [(np.arange(number), number)] if _counts_by_group(bundle) else _blocks(number)
    found: list[dict[str, Estimate]] = []
    for rows, real in blocks:
        own, there, of = _taken(rows, features, present, frames)
        numbers = bundle.estimate(own, there, groups[rows], of)
        for i in range(real):
            ends = [map(float, end[i]) for end in (numbers.values, numbers.low, numbers.high)]
            found.append(dict(zip(bundle.numbers.targets, map(Estimate, *ends), strict=True)))
    return found


def _taken(
    rows: NDArray[np.int64],
    features: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    frames: Mapping[str, FrameFeatures],
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.bool_]], dict[str, FrameList]]:
    """Some of the clips."""
    return (
        {name: x[rows] for name, x in features.items()},
        {name: there[rows] for name, there in present.items()},
        {name: some_of(of, rows) for name, of in frames.items()},
    )


def _in_blocks(
    bundle: Bundle,
    features: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    frames: Mapping[str, FrameFeatures],
) -> Votes:
    parts = []
    for rows, real in _blocks(len(next(iter(present.values())))):
        own, there, of = _taken(rows, features, present, frames)
        part = bundle.votes(own, there, frames=of)
        parts.append((part, real))
    return Votes(
        bundle.experts,
        parts[0][0].weights,
        np.concatenate([part.own[:, :n] for part, n in parts], axis=1),
        np.concatenate([part.seeing[:, :n] for part, n in parts], axis=1),
        np.concatenate([part.probabilities[:n] for part, n in parts]),
    )


def _prediction(
    bundle: Bundle,
    source: Source,
    one: Extracted,
    votes: Votes,
    alone: Mapping[str, NDArray[np.float32]],
    targets: Mapping[str, Estimate],
    row: int,
) -> Prediction:
    modalities = {name: of.ok for name, of in one.features.items()}
    made_of = {
        "absent": one.absent,
        "group": source.group,
        "transcript": one.transcript,
        "source": one.source,
        "words": one.words,
        "seconds": one.seconds,
        "notes": (*one.notes, *one.shortened),
        "faces": one.faces,
        "transient": one.transient,
    }
    if not any(modalities.values()):
        reasons = "; ".join(f"{name}: {note}" for name, note in one.absent.items())
        return Prediction(source.path, None, {}, modalities, f"nothing to go by ({reasons})", **made_of)  # type: ignore[arg-type]

    def by_class(values: NDArray[np.float32]) -> dict[str, float]:
        return dict(zip(bundle.classes, map(float, values), strict=True))

    probabilities = by_class(votes.probabilities[row])
    return Prediction(
        source.path,
        bundle.classes[int(bundle.choose(votes.probabilities[row : row + 1])[0])] if bundle.classes else None,
        probabilities,
        modalities,
        targets=targets,
        by_modality={name: by_class(of[row]) for name, of in alone.items()},
        experts={
            name: by_class(votes.own[e, row]) for e, name in enumerate(votes.experts) if bool(votes.seeing[e, row])
        },
        **made_of,  # type: ignore[arg-type]
    )
