"""A corpus of features alone in a `.pkl` of MMSA or MMSA-FET: its splits, texts and labels; see `mer.imports.mmsa`.

The file is the only `.pkl` in `corpus.root`, or what `corpus.labels` names. `train` and `valid` are labeled, `test` is
test. The class is `annotations`, else the number of the class, else the sign of the score. The group is the video, what
stands before `$_$` in a clip's id. Targets: sentiment (`regression_labels`), and label_T, label_A, label_V.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mer.errors import MerError
from mer.extraction.sources import NO_MEDIA
from mer.imports.mmsa import Splits
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.labels import Naming
from mer.params import CorpusParams

ENDINGS = (".pkl", ".pickle")
TARGETS = {
    "sentiment": "regression_labels",
    "label": "regression_labels",
    **{f"label_{modality}": f"regression_labels_{modality}" for modality in "TAV"},
}
"""Targets, and the array of each."""
BETWEEN = "$_$"


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a corpus of MMSA's features; there is one text a clip, so `prefer` has nothing to choose from."""
    path = find_file(Path(params.root), params)
    splits = Splits(path)
    clips = [clip for split in splits.splits for clip in _part(path, splits, split)]
    return make_corpus(clips, params, Naming())


def find_file(root: Path, params: CorpusParams) -> Path:
    """The file of a corpus.

    Raises:
        MerError: there is none, or there are several and `corpus.labels` names none of them.
    """
    named = root / params.labels
    if named.suffix.lower() in ENDINGS:
        return named
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in ENDINGS)
    if len(found) != 1:
        seen = f"which of {', '.join(path.name for path in found)} is it?" if found else f"no .pkl lies in {root}"
        raise MerError(f"corpus.labels: {seen}")
    return found[0]


def _part(path: Path, splits: Splits, split: str) -> Iterator[Clip]:
    texts = splits.texts(split, "raw_text")
    columns = {name: splits.column(split, key) for name, key in TARGETS.items()}
    labels = _labels(splits, split)
    for row, clip_id in enumerate(splits.ids[split]):
        targets = {name: _number(column[row]) for name, column in columns.items() if column is not None}
        label = labels[row] if labels is not None else _sign(targets.get("sentiment"))
        known = bool(label) or any(value is not None for value in targets.values())
        yield {
            "clip_id": clip_id,
            "path": NO_MEDIA,
            "split": "test" if split == "test" else "labeled" if known else "unlabeled",
            "label": label or None,
            "where": f"{path}: '{split}': clip '{clip_id}'",
            "group": clip_id.partition(BETWEEN)[0] if BETWEEN in clip_id else None,
            "transcript": (texts[row] or None) if texts is not None else None,
            "targets": targets,
        }


def _labels(splits: Splits, split: str) -> list[str] | None:
    """The class of each clip in the file's words; None where it has scores alone."""
    annotations = splits.texts(split, "annotations")
    if annotations is not None and any(text and text.casefold() != "nan" for text in annotations):
        return [text.casefold() for text in annotations]
    numbers = splits.column(split, "classification_labels")
    if numbers is None:
        return None
    return [f"{value:g}" for value in np.ravel(numbers).astype(float)]


def _number(value: Any) -> float | None:
    number = float(np.ravel(value)[0])
    return number if math.isfinite(number) else None


def _sign(score: float | None) -> str | None:
    if score is None:
        return None
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"
