"""What a run holds of its clips, gathered for who takes it elsewhere: views, labels, splits, folds, text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer.clips import read_folds, read_labels, read_splits, read_test_labels, read_texts
from mer.errors import MerError
from mer.params.needs import read_view_list
from mer.store.tables import FrameTensors, UtteranceTable, open_frames, read_utterances

UTTERANCES, FRAMES = "utterance.parquet", "frames.safetensors"


@dataclass(frozen=True)
class View:
    """One view's features: utterance vectors, and frames where they were kept."""

    name: str
    utterances: UtteranceTable
    frames: FrameTensors | None


@dataclass(frozen=True)
class RunTables:
    """The tables of a run; by clip id where a clip may lack what they say.

    `labels` are the classes of the labeled split, `test_labels` those that are known of the test split; `targets` the
    numbers that are known beside or instead of them, by their name.
    """

    data: Path
    clip_ids: Sequence[str]
    splits: Mapping[str, str]
    classes: Sequence[str]
    labels: Mapping[str, str]
    test_labels: Mapping[str, str]
    targets: Mapping[str, Mapping[str, float]]
    folds: Mapping[str, int]
    texts: Mapping[str, str | None]

    def known(self, split: str) -> list[str]:
        """Clips of a split of which a class or a number is known, in order."""
        has = {*self.labels, *self.test_labels, *(clip for numbers in self.targets.values() for clip in numbers)}
        return [clip for clip in self.clip_ids if self.splits[clip] == split and clip in has]

    def label(self, clip_id: str) -> str | None:
        """A clip's class, of whichever split; None where it is not known."""
        return self.labels.get(clip_id) or self.test_labels.get(clip_id)

    def view(self, name: str, *, frames: bool = False) -> View:
        """One view's features.

        Raises:
            MerError: they are missing, of other clips, or without the frames that were asked for.
        """
        folder = self.data / "features" / name
        if not (folder / UTTERANCES).is_file():
            found = ", ".join(view_names(self.data)) or "none"
            raise MerError(f"{folder}: no features of a view '{name}' (found: {found}); run the pipeline first")
        table = read_utterances(folder / UTTERANCES)
        if table.clip_ids != list(self.clip_ids):
            raise MerError(f"{folder / UTTERANCES}: its clips are not those of {self.data / 'splits.parquet'}")
        if not frames:
            return View(name, table, None)
        if not (folder / FRAMES).is_file():
            raise MerError(f"{folder}: no frames of '{name}' were kept; set views.{name}.frames and run it again")
        return View(name, table, open_frames(folder / FRAMES))


def view_names(data: Path) -> list[str]:
    """Names of the views whose features a run holds."""
    return sorted(path.parent.name for path in (data / "features").glob(f"*/{UTTERANCES}"))


def read_run(data: Path) -> RunTables:
    """The tables of a run's `data` folder.

    Raises:
        MerError: one is missing; folds may be.
    """
    splits = read_splits(data / "splits.parquet")
    table = read_labels(data / "labels.parquet")
    tests = read_test_labels(data / "test_labels.parquet")
    rows = table.rows[table.rows["label"].notna()]
    known = tests[tests["label"].notna()]
    targets: dict[str, dict[str, float]] = {}
    for source in (table.rows, tests):
        for column in (name for name in source.columns if str(name).startswith("target_")):
            numbers = source[column].to_numpy(float)
            found = {c: float(v) for c, v in zip(source["clip_id"], numbers, strict=True) if np.isfinite(v)}
            targets.setdefault(str(column).removeprefix("target_"), {}).update(found)
    folds = read_folds(data / "folds.parquet") if (data / "folds.parquet").is_file() else None
    return RunTables(
        data,
        list(splits["clip_id"]),
        dict(zip(splits["clip_id"], splits["split"], strict=True)),
        table.classes,
        dict(zip(rows["clip_id"], rows["label"], strict=True)),
        dict(zip(known["clip_id"], known["label"], strict=True)),
        targets,
        {} if folds is None else dict(zip(folds["clip_id"], folds["fold"].astype(int), strict=True)),
        _texts(data),
    )


def _texts(data: Path) -> Mapping[str, str | None]:
    """What the clips say: as it was transcribed, or else as the corpus has it."""
    if (data / "transcripts.parquet").is_file():
        from mer.extraction.transcript_table import read_transcripts

        return read_transcripts(data / "transcripts.parquet")
    return read_texts(data / "corpus_text.parquet")


def modalities(data: Path) -> dict[str, str]:
    """The modality of each view, by its name.

    Raises:
        MerError: the run has no list of its views.
    """
    return dict(read_view_list(data / "needed"))
