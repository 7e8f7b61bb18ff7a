"""What a corpus layout is: a function from a folder on disk to clips, texts and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from mer.clips import ClipTable
from mer.params import CorpusParams


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk: its clips, and apart from them the labels of its test split.

    `table.rows` has the columns `clip_id, path, split, label, group, transcript`; `test_labels` has `clip_id, label`
    and no rows where the labels of the test split are unknown.
    """

    table: ClipTable
    test_labels: pd.DataFrame


Layout = Callable[[CorpusParams, str], Corpus]
"""Reads a corpus: its params, and the language to prefer where it has transcripts in several."""


def make_corpus(clips: list[dict[str, str | None]], test_labels: dict[str, str], classes: tuple[str, ...]) -> Corpus:
    """Assemble a corpus from rows that hold some of the table's columns; what a row lacks is null."""
    columns = ("clip_id", "path", "split", "label", "group", "transcript")
    rows = pd.DataFrame({name: pd.Series([clip.get(name) for clip in clips], dtype="str") for name in columns})
    pairs = pd.DataFrame({"clip_id": list(test_labels), "label": list(test_labels.values())}, dtype="str")
    return Corpus(ClipTable(rows, classes), pairs)
