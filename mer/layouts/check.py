"""One screen on a corpus before anything runs: how many clips of which split and label, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from mer.clips.tables import CORPUS_FOLD, TARGET
from mer.errors import ClipError
from mer.extraction.sources import NO_MEDIA, readable_digest, real_root
from mer.layouts import Corpus, read_corpus
from mer.media.stubs import is_stub
from mer.params import CorpusParams
from mer.store.keys import FileDigests

SPLITS = ("labeled", "test", "unlabeled")


def look(params: CorpusParams, *, prefer: str, files: bool) -> str:
    """The screen.

    Args:
        files: look at every file, too: whether it can be read, and whether another has the same bytes.

    Raises:
        MerError: the corpus cannot be read; see `mer.layouts.read_corpus`.
    """
    corpus = read_corpus(params, prefer=prefer)
    if files:
        _look_at_files(corpus, Path(params.root))
    head = f"{params.root}: {len(corpus.table.rows)} clips, layout {params.layout}"
    notes = list(corpus.notes.lines()) or ["nothing missing, extra, duplicated or dropped"]
    media = bool((corpus.table.rows["path"] != NO_MEDIA).any())
    if not media:
        notes.append("no media: the corpus has features only")
    elif files and not corpus.notes.count("unreadable"):
        notes.append("every file can be read")
    return "\n".join([head, *corpus.notes.about, "", *_counts(corpus), "", *_facts(corpus), "", *notes])


def _counts(corpus: Corpus) -> Iterator[str]:
    """A row for each label, a column for each split."""
    rows = corpus.table.rows
    labels = pd.concat([rows.loc[rows["split"] == "labeled", "label"], corpus.test_labels["label"]])
    splits = ["labeled"] * int((rows["split"] == "labeled").sum()) + ["test"] * len(corpus.test_labels)
    table = pd.crosstab(labels.fillna("(no label)").to_numpy(), pd.Series(splits).to_numpy()) if splits else None
    names = [*corpus.table.classes, "(no label)"]
    width = max(map(len, names), default=0) + 2
    yield "label".ljust(width) + "".join(split.rjust(11) for split in SPLITS)
    for name in names:
        counts = [_cell(table, name, split) for split in SPLITS]
        if name == "(no label)":
            counts[1] += int((rows["split"] == "test").sum()) - len(corpus.test_labels)
            counts[2] = int((rows["split"] == "unlabeled").sum())
        if any(counts) or name != "(no label)":
            yield name.ljust(width) + "".join(f"{count or '-':>11}" for count in counts)
    totals = [int((rows["split"] == split).sum()) for split in SPLITS]
    yield "all".ljust(width) + "".join(f"{count or '-':>11}" for count in totals)


def _cell(table: pd.DataFrame | None, name: str, split: str) -> int:
    if table is None or split not in table.columns:
        return 0
    return next((int(count) for label, count in table[split].items() if label == name), 0)


def _facts(corpus: Corpus) -> Iterator[str]:
    """Groups, folds, targets, parts of files and transcripts: what else there is."""
    rows = corpus.table.rows
    groups = rows["group"].dropna()
    sizes = groups.value_counts()
    if len(groups):
        span = f", of {sizes.min()} to {sizes.max()} clips" if len(sizes) > 1 else ""
        without = f"; {len(rows) - len(groups)} clips are in none" if len(groups) < len(rows) else ""
        yield f"groups: {len(sizes)}{span}{without}"
    else:
        yield "groups: none are known, so that folds may part what one speaker says"
    if CORPUS_FOLD in rows:
        folds = rows[CORPUS_FOLD].dropna().value_counts().sort_index()
        yield f"folds of its own: {', '.join(f'{name} ({count})' for name, count in folds.items())}"
    for name in corpus.table.targets:
        known = rows[TARGET + name].dropna()
        span = f" from {known.min():g} to {known.max():g}" if len(known) else ""
        yield f"target {name}: {len(known)} labeled clips{span}"
    if "start" in rows:
        parts = rows[rows["start"].notna() | rows["end"].notna()]
        yield f"segments: {len(parts)} in {parts['path'].nunique()} files"
    if "crop" in rows:
        halves = ", ".join(f"{count} {name}" for name, count in rows["crop"].value_counts().sort_index().items())
        yield f"halves of the picture: {halves}"
    if "sound" in rows:
        yield f"sound in a file of its own: {int(rows['sound'].notna().sum())} clips"
    yield f"transcripts: {int(rows['transcript'].notna().sum())} clips"


def _look_at_files(corpus: Corpus, root: Path) -> None:
    """Note the files that cannot be read, and those that have the bytes of another."""
    rows = corpus.table.rows
    paths = pd.concat([rows["path"], *([rows["sound"].dropna()] if "sound" in rows else [])]).drop_duplicates()
    paths = paths[paths != NO_MEDIA]
    top = real_root(root)
    first: dict[str, str] = {}
    with FileDigests() as known:
        for path in paths:
            try:
                sha256 = readable_digest(top / path, top, known)
            except ClipError as fault:
                corpus.notes.add("unreadable", f"{path} ({fault})")
                continue
            if is_stub(top / path):
                corpus.notes.add("unreadable", f"{path} (a stub of git-lfs: run `git lfs pull`)")
            elif (twin := first.setdefault(sha256, path)) != path:
                corpus.notes.add("duplicated", f"{path} has the bytes of {twin}")
