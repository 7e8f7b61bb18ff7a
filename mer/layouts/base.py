"""What a corpus layout is: a function from a folder on disk to clips, texts and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.clips.tables import CORPUS_FOLD, SOFT, TARGET
from mer.params import CorpusParams


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk: its clips, and apart from them the labels of its test split.

    `table.rows` has the columns `clip_id, path, split, label, group, transcript`, and of the columns that `mer.clips`
    calls parts, of `corpus_fold`, targets and soft labels those that any clip has. `test_labels` has `clip_id, label`
    (and targets and soft labels likewise) and no rows where the labels of the test split are unknown.
    """

    table: ClipTable
    test_labels: pd.DataFrame


class Clip(TypedDict, total=False):
    """What a layout says of a clip; what it lacks is unknown. What is known of a test clip is put apart."""

    clip_id: str
    path: str
    split: str
    label: str | None
    group: str | None
    transcript: str | None
    fold: str | None
    """Its fold in the corpus' own split, by the name that it has there."""
    start: float | None
    """Seconds from the beginning of the file; so is `end`."""
    end: float | None
    crop: str | None
    """One of `mer.clips.tables.CROPS`."""
    sound: str | None
    """The file with its sound, where that is not the one at `path`."""
    targets: Mapping[str, float]
    soft: Mapping[str, float]
    """Class -> its share of the votes, or its probability; they need not sum to 1."""


Layout = Callable[[CorpusParams, str], Corpus]
"""Reads a corpus: its params, and the language to prefer where it has transcripts in several."""

TEXTS = ("clip_id", "path", "split", "label", "group", "transcript")


def make_corpus(clips: Sequence[Clip], test_labels: Mapping[str, str], classes: tuple[str, ...]) -> Corpus:
    """Assemble a corpus from what its layout says of each clip.

    Args:
        test_labels: of clips of the test split. A clip with soft labels and no other has the likeliest for its label.
    """
    soft = [_distribution(clip.get("soft"), classes) for clip in clips]
    texts: dict[str, list[str | None]] = {name: [clip.get(name) for clip in clips] for name in TEXTS}  # type: ignore[misc]
    labels = texts["label"] = [
        label or (max(votes, key=votes.__getitem__) if votes else None)
        for label, votes in zip(texts["label"], soft, strict=True)
    ]
    rows = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in texts.items()})
    labeled = (rows["split"] == "labeled").to_numpy()
    rows["label"] = rows["label"].where(labeled)
    numbers = _numbers(TARGET, [clip.get("targets") for clip in clips]) | _numbers(SOFT, soft)
    own: dict[str, Any] = {name: np.where(labeled, column, np.nan) for name, column in numbers.items()}
    folds = pd.Series([clip.get("fold") for clip in clips], dtype="str").where(labeled)
    if folds.notna().any():
        own = {CORPUS_FOLD: folds, **own}
    if not numbers:
        tested = pd.DataFrame({"clip_id": list(test_labels), "label": list(test_labels.values())}, dtype="str")
    else:
        known = [test_labels.get(str(clip_id), label) for clip_id, label in zip(rows["clip_id"], labels, strict=True)]
        tested = rows[["clip_id"]].assign(label=pd.Series(known, dtype="str"), **numbers)[rows["split"] == "test"]
        tested = tested[tested.drop(columns="clip_id").notna().any(axis=1)].reset_index(drop=True)
    return Corpus(ClipTable(rows.assign(**_parts(clips), **own), classes), tested)


def _parts(clips: Sequence[Clip]) -> dict[str, pd.Series]:
    """Columns of `mer.clips.tables.PARTS` that any clip has."""
    columns = {name: [clip.get(name) for clip in clips] for name in ("start", "end", "crop", "sound")}
    if any(value is not None for name in ("start", "end") for value in columns[name]):
        found = {name: pd.Series(columns[name], dtype="float64") for name in ("start", "end")}
    else:
        found = {}
    texts = [name for name in ("crop", "sound") if any(columns[name])]
    return found | {name: pd.Series(columns[name], dtype="str") for name in texts}


def _numbers(prefix: str, found: Sequence[Mapping[str, float] | None]) -> dict[str, list[float]]:
    """A column for each name that any clip has a number of, in the order in which they come; NaN where it has none."""
    names = list(dict.fromkeys(name for one in found if one for name in one))
    return {prefix + name: [(one or {}).get(name, np.nan) for one in found] for name in names}


def _distribution(votes: Mapping[str, float] | None, classes: Sequence[str]) -> dict[str, float] | None:
    """Votes of all classes, in their order, as shares of 1; None where there are none."""
    total = sum(votes.values()) if votes else 0.0
    return {name: votes.get(name, 0.0) / total for name in classes} if votes and total else None
