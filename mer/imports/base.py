"""What an import is: features that others extracted, an array a clip, whatever form they lie in.

    source = open_source(Path("features/chinese-hubert-large-FRA"))
    print(source.describe())                   # MERTools' folder: 5030 clips, frames [T, 1024]
    for clip_id, values in source.read_many(clip_ids): ...
    print(*source.notes(), sep="\\n")           # what was masked or set to zero, with counts

Values are float32: [D], or [T, D] for frames. What is no finite number (MMSA's acoustic features have columns of -inf)
becomes zero, as MMSA's own loader does it, and is counted; a clip without any value but zero is what MERTools and MMSA
write where a modality is missing, and is read as absent (None).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mer.errors import ClipError, MerError

KINDS = "fiub"
"""Of dtypes: float16 to float64, integers and truth values."""


class ImportedError(ClipError):
    """A clip whose features cannot be read."""

    error: ClassVar[str] = "imported_features"


class FeatureSource(Protocol):
    """Features of clips, by clip id. Nothing but names, shapes and the like is read before a clip is asked for."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """Names of the clips, in the source's order, each once."""

    def read(self, clip_id: str) -> NDArray[np.float32] | None:
        """Float32 [D] or [T, D]; None where the source says that the clip's modality is absent.

        Raises:
            ImportedError: the clip's values cannot be read; the line names the clip.
        """

    def read_many(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
        """Pairs of clip and values, in the order that the source is quickest in."""

    def digest(self, clip_id: str) -> str:
        """Hex digest of what `read` gives."""

    def width(self) -> int:
        """D, the same for all clips.

        Raises:
            MerError: clips differ in it; the line names one, and both widths.
        """

    def describe(self) -> str:
        """What was recognised, in one line."""

    def notes(self) -> list[str]:
        """Lines on what has been read so far: how many clips were absent, had values that are no numbers, and so on."""


class Source:
    """What sources share: how values become features, and what is counted meanwhile."""

    def __init__(self, path: Path, clip_ids: Sequence[str], what: str) -> None:
        """`what` names the source in messages: the file and, where it has several, the array."""
        self.path, self.what = path, what
        self._ids = {clip_id: number for number, clip_id in enumerate(clip_ids)}
        self._absent: set[str] = set()
        self._odd: dict[str, tuple[int, tuple[int, ...]]] = {}

    @property
    def clip_ids(self) -> Sequence[str]:
        return list(self._ids)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._ids

    def array(self, clip_id: str) -> NDArray[Any]:
        """A clip's values as they lie in the source, of any dtype; [D] or [T, D]."""
        raise NotImplementedError

    def widths(self) -> Iterable[tuple[str, int]]:
        """Pairs of clip and number of columns, as cheaply as the source allows."""
        raise NotImplementedError

    def read(self, clip_id: str) -> NDArray[np.float32] | None:
        self._known(clip_id)
        return self._features(clip_id, self.array(clip_id))

    def read_many(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
        for clip_id in sorted(clip_ids, key=self._known):
            yield clip_id, self.read(clip_id)

    def digest(self, clip_id: str) -> str:
        values = self.read(clip_id)
        if values is None:
            return hashlib.sha256(b"absent").hexdigest()
        return hashlib.sha256(str(values.shape).encode() + np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()

    def width(self) -> int:
        widths = dict(self.widths())
        common = Counter(widths.values()).most_common(1)
        if not common:
            raise MerError(f"{self.what}: no clips")
        [(width, count)] = common
        for clip_id, other in widths.items():
            if other != width and self.read(clip_id) is not None:
                raise MerError(
                    f"{self.what}: clip '{clip_id}' has {other} columns, where {count} of {len(widths)} clips have "
                    f"{width}; a view has one width"
                )
        return width

    def describe(self) -> str:
        return f"{self.what}: {len(self._ids)} clips"

    def notes(self) -> list[str]:
        lines = []
        if self._absent:
            lines.append(f"{self.what}: {len(self._absent)} clips have no value but zero, and count as absent")
        if self._odd:
            values = sum(count for count, _ in self._odd.values())
            columns = sorted({column for _, found in self._odd.values() for column in found})
            lines.append(
                f"{self.what}: {values} values are no finite numbers (NaN, inf), in {len(self._odd)} of "
                f"{len(self._ids)} clips (the first is '{next(iter(self._odd))}') and columns "
                f"{_numbers(columns)}; set to zero, as MMSA does"
            )
        return lines

    def _known(self, clip_id: str) -> int:
        if clip_id not in self._ids:
            raise ImportedError(f"{self.what}: no clip '{clip_id}'")
        return self._ids[clip_id]

    def _features(self, clip_id: str, values: NDArray[Any]) -> NDArray[np.float32] | None:
        if values.dtype.kind not in KINDS:
            raise ImportedError(f"{self.what}: clip '{clip_id}' holds {name_of(values.dtype)}, not numbers")
        if values.ndim not in (1, 2):
            raise ImportedError(f"{self.what}: clip '{clip_id}' has shape {list(values.shape)}, not [D] or [T, D]")
        with np.errstate(over="ignore"):  # float64 beyond float32 is inf, and counted below
            features = np.array(values, np.float32, order="C")
        odd = ~np.isfinite(features)
        if odd.any():
            columns = np.flatnonzero(odd.reshape(-1, features.shape[-1]).any(axis=0))
            self._odd[clip_id] = int(odd.sum()), tuple(map(int, columns))
            features[odd] = 0.0
        if not features.any():
            self._absent.add(clip_id)
            return None
        return features


def name_of(dtype: np.dtype[Any]) -> str:
    """What a dtype is, for people."""
    if dtype.hasobject:
        return "Python objects (dtype object)"
    return {"U": "text", "S": "bytes", "c": "complex numbers"}.get(dtype.kind, f"dtype {dtype.name}")


def squeezed(shape: tuple[int, ...], *, frames: bool | None) -> tuple[int, ...]:
    """The shape of a clip's features without the axes of one that tools leave around them.

    [1, D], [D, 1] and [1, 1, D] are utterance vectors, [T, 1, D] and [1, T, D] frames, as MERTools' loader reads them.
    `frames` says which kind the clip is known to have: frames keep their axis where there is but one, and [T, 1] is one
    column of them; None knows neither, and takes [T, 1] for frames, too.
    """
    if len(shape) == 2 and shape[1] == 1 and shape[0] != 1 and frames is not False:
        return shape
    bare = tuple(size for size in shape if size != 1) or (1,)
    return (1, *bare) if len(bare) == 1 and frames else bare


def _numbers(numbers: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return f"{shown} and {len(numbers) - most} more" if len(numbers) > most else shown
