"""MMSA's and MMSA-FET's `.pkl`: splits, in each of them arrays of all clips; aligned and unaligned, numpy or PyTorch.

{train, valid, test: {id [N], raw_text [N], audio, vision, text [N, T, D], text_bert [N, 3, T],
                      audio_lengths, vision_lengths [N], regression_labels, ..., annotations [N]}}

`text_bert` are token ids for their own BERT, no features. Clips are padded with frames of zeros to one length: padding
is cut off, by `*_lengths` where they are there, else as the frames of zeros at either end.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.base import ImportedError, Source
from mer.imports.names import check_distinct
from mer.imports.plain import listed, settled
from mer.imports.unpickle import read_pickle
from mer.running.foreign import foreign, normalise

SPLITS = ("train", "valid", "val", "dev", "test")
FEATURES = ("audio", "vision", "text")
ALIASES = {"video": "vision", "face": "vision", "visual": "vision"}


class Splits:
    """What the file holds: each split's arrays by key, and the clips of all splits in order."""

    def __init__(self, path: Path) -> None:
        """Read the file, without running anything in it.

        Raises:
            MerError: it asks for more than plain data, is damaged, or has not MMSA's form.
        """
        self.path = path
        contents = _contents(path)
        if not isinstance(contents, dict):
            raise MerError(f"{path}: holds a {type(contents).__name__}, not MMSA's splits")
        self.splits: dict[str, dict[str, Any]] = {
            split: contents[split] for split in SPLITS if isinstance(contents.get(split), dict)
        }
        if not self.splits:
            raise MerError(f"{path}: no splits in it ({', '.join(SPLITS[:2])}, test); found: {_keys(contents)}")
        self.ids = {split: self._ids(split) for split in self.splits}
        check_distinct([clip_id for ids in self.ids.values() for clip_id in ids], str(path))

    @property
    def features(self) -> list[str]:
        """Keys of what may be a view, in the file's order."""
        first = next(iter(self.splits.values()))
        return [key for key in first if key in FEATURES] + [
            key for key in first if key not in FEATURES and key != "text_bert" and getattr(first[key], "ndim", 0) == 3
        ]

    def column(self, split: str, key: str, *, needed: bool = False) -> NDArray[Any] | None:
        """An array with a row a clip of the split; None where the split lacks it.

        Raises:
            MerError: it has more or fewer rows than the split has clips; or it is `needed` and not there.
        """
        if key not in self.splits[split]:
            if needed:
                raise MerError(f"{self.path}: '{key}' is missing in '{split}' (found: {_keys(self.splits[split])})")
            return None
        where = f"{self.path}: '{split}'/'{key}'"
        with foreign(where):
            array = listed(self.splits[split][key])
        count = len(self.ids[split]) if hasattr(self, "ids") and split in self.ids else None
        if array.ndim == 0 or (count is not None and len(array) != count):
            rows = len(array) if array.ndim else 1
            raise MerError(f"{where}: {rows} rows, and 'id' has {count}")
        return array

    def texts(self, split: str, key: str) -> list[str] | None:
        """A column of text, in composed Unicode."""
        column = self.column(split, key)
        if column is None:
            return None
        return [normalise(str(settled(one)[()] if isinstance(one, np.ndarray) else _text(one))) for one in column]

    def _ids(self, split: str) -> list[str]:
        self.column(split, "id", needed=True)
        return [one.strip() for one in self.texts(split, "id") or []]


class MmsaSource(Source):
    """One of a file's arrays of features, over its memory map."""

    def __init__(self, splits: Splits, key: str) -> None:
        self.splits, self.key = splits, key
        self.arrays: dict[str, NDArray[Any]] = {}
        self.lengths: dict[str, NDArray[Any] | None] = {}
        self.places: dict[str, tuple[str, int]] = {}
        for split, ids in splits.ids.items():
            array = splits.column(split, key, needed=True)
            if array is None or array.ndim not in (2, 3) or array.dtype.kind not in "fiub":
                shape = None if array is None else list(array.shape)
                raise MerError(f"{splits.path}: '{split}'/'{key}' has shape {shape}; [N, D] or [N, T, D] is read")
            self.arrays[split], self.lengths[split] = array, splits.column(split, f"{key}_lengths")
            self.places |= {clip_id: (split, row) for row, clip_id in enumerate(ids)}
        super().__init__(splits.path, list(self.places), f"{splits.path}: '{key}'")

    def array(self, clip_id: str) -> NDArray[Any]:
        split, row = self.places[clip_id]
        values, lengths = self.arrays[split][row], self.lengths[split]
        if values.ndim == 1:
            return values
        return self._bare(clip_id, values, None if lengths is None else int(np.ravel(lengths)[row]))

    def widths(self) -> Iterator[tuple[str, int]]:
        return ((clip_id, self.arrays[split].shape[-1]) for clip_id, (split, _) in self.places.items())

    def describe(self) -> str:
        counts = ", ".join(f"{split} {len(ids)}" for split, ids in self.splits.ids.items())
        shape = list(next(iter(self.arrays.values())).shape[1:])
        padded = "" if len(shape) == 1 else ", padding cut off by lengths" if self._has_lengths else ", padding cut off"
        return f"{self.what} of MMSA's form: {counts}, {shape} a clip{padded}"

    @property
    def _has_lengths(self) -> bool:
        return all(lengths is not None for lengths in self.lengths.values())

    def _bare(self, clip_id: str, values: NDArray[Any], length: int | None) -> NDArray[Any]:
        """The frames [T, D] of a clip without its padding, which may stand before or behind them."""
        filled = np.flatnonzero(((values != 0) & np.isfinite(values)).any(axis=1))
        if length is None:
            return values[filled[0] : filled[-1] + 1] if len(filled) else values[:0]
        if not 0 <= length <= len(values):
            raise ImportedError(
                f"{self.what}: clip '{clip_id}': '{self.key}_lengths' says {length} frames, and there are {len(values)}"
            )
        if not len(filled) or filled[-1] < length:
            return values[:length]
        if filled[0] >= len(values) - length:
            return values[len(values) - length :]
        raise ImportedError(
            f"{self.what}: clip '{clip_id}': '{self.key}_lengths' says {length} frames, and {len(filled)} are not zero"
        )


def open_mmsa(path: Path, name: str | None) -> Source:
    """One array of features: `audio`, `vision` (or `video`, `face`) or `text`.

    Raises:
        MerError: see `Splits`; or `name` is none of what it holds.
    """
    splits = Splits(path)
    key = ALIASES.get(name or "", name)
    features = splits.features
    if key is None and len(features) == 1:
        key = features[0]
    if key is None or key not in features:
        asked = "which features?" if name is None else f"no features '{name}' in it;"
        raise MerError(f"{path}: {asked} Found: {', '.join(features) or 'none'}")
    return MmsaSource(splits, key)


def _contents(path: Path) -> Any:
    """A pickle; or PyTorch's archive, which the reader of checkpoints knows."""
    try:
        is_zip = zipfile.is_zipfile(path)
    except OSError as error:
        raise MerError(f"{path}: {error.strerror or error}") from None
    if not is_zip:
        return read_pickle(path)
    from mer.encoders.checkpoints.pickles import load_pickle

    contents = load_pickle(path)
    parts = {name: part for name, part in contents.items() if isinstance(part, dict)}
    return {name: {key: _from_tensor(value) for key, value in part.items()} for name, part in parts.items()}


def _from_tensor(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()


def _keys(of: Mapping[Any, Any]) -> str:
    return ", ".join(str(key)[:40] for key in list(of)[:20]) or "nothing"


def _text(value: Any) -> Any:
    return bytes(value).decode("utf-8") if isinstance(value, bytes | memoryview) else value
