"""A corpus of features alone, as users of MERTools (Lian et al., MERBench) have it: no media, nothing to decode.

features/<name>-UTT/<clip>.npy      or -FRA, _UTT, _FRA; see `mer.imports.folders`
label*.npz                          train_corpus, test1_corpus, ..., whole_corpus; see `mer.imports.labels`
labels.csv                          or a table instead (`corpus.labels`): `name` or `clip_id`; `discrete`, `emo` or
                                    `label`; and, as far as they are known, split, group, fold, transcript, targets

The clips are those that have a label, and of the others those that lie in any folder of features: they are unlabeled.
Of several test sets `corpus.test` makes the test split. IEMOCAP's sessions are groups and folds. Which features are
views, and of which modality, params say (`views.<name>.source`); a table's columns of other names, `corpus.columns`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mer.clips import SPLITS
from mer.errors import MerError
from mer.extraction.sources import NO_MEDIA
from mer.imports.folders import KIND, clip_names
from mer.imports.labels import Label, read_labels
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.challenge import NAMING
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.rows import Row, Rows, read_rows
from mer.params import CorpusParams

FEATURES = "features"
LABEL_FILE = re.compile(r"(track\d_)?label.*\.npz", re.IGNORECASE)
LEARNED = ("train", "val", "valid", "dev", "whole")
"""Parts of a label file that are the labeled split."""
LABELS = ("label", "discrete", "emo")
"""Columns of a table that hold the class, the first that is there."""
VALENCE = ("valence", "val")


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a corpus of features; there is one transcript a clip, so `prefer` has nothing to choose from."""
    root = Path(params.root)
    notes = Notes()
    labels = find_labels(root, params)
    if labels.suffix.lower() == ".npz":
        clips = list(_from_archive(labels, read_labels(labels), params))
    else:
        renamed = {str(ours): theirs for ours, theirs in params.columns.items()}
        clips = list(_from_table(read_rows(labels, rename=renamed, encoding=params.encoding), params))
    found = {name for folder in feature_folders(root) for name in clip_names(folder)}
    named = {clip["clip_id"] for clip in clips}
    if found and not found & named:
        from mer.imports.names import differ

        raise MerError(f"{root / FEATURES}: {differ(sorted(named), sorted(found))} (in {labels.name})")
    for clip in clips:
        if found and clip["clip_id"] not in found:
            notes.add("missing", clip["clip_id"])
    kept = [clip for clip in clips if not found or clip["clip_id"] in found]
    kept += [{"clip_id": name, "path": NO_MEDIA, "split": "unlabeled"} for name in sorted(found - named)]
    return make_corpus(kept, params, _naming(kept), notes)


def feature_folders(root: Path) -> list[Path]:
    """The folders of features of a corpus, by name."""
    place = root / FEATURES
    return sorted(path for path in place.glob("*/") if KIND.search(path.name)) if place.is_dir() else []


def find_labels(root: Path, params: CorpusParams) -> Path:
    """The file with the labels: what `corpus.labels` names, or the only label*.npz.

    Raises:
        MerError: there is neither, or there are several.
    """
    named = root / params.labels
    if named.is_file():
        return named
    found = sorted(path for path in root.glob("*.npz") if LABEL_FILE.fullmatch(path.name))
    if len(found) == 1:
        return found[0]
    if found:
        raise MerError(f"corpus.labels: {named} is not there; which of {', '.join(path.name for path in found)} is it?")
    raise MerError(f"corpus.labels: {named} is not there, nor any label*.npz in {root}")


def _from_archive(path: Path, parts: Mapping[str, Mapping[str, Label]], params: CorpusParams) -> Iterable[Clip]:
    tests = [part for part in parts if part not in LEARNED]
    test = params.test if params.test in tests else tests[0] if len(tests) == 1 else None
    if test is None and tests:
        raise MerError(f"corpus.test: {path} has no {params.test}; it has {', '.join(tests)}")
    seen: dict[str, str] = {}
    for part, labels in parts.items():
        for name, label in labels.items():
            if (first := seen.setdefault(name, part)) != part:
                raise MerError(f"{path}: clip '{name}' is in {first}_corpus and in {part}_corpus")
            clip: Clip = {"clip_id": name, "path": NO_MEDIA, "split": "unlabeled"}
            if part in LEARNED or part == test:
                split = "test" if part == test else "labeled"
                targets = dict(label.numbers) | {key: label.numbers.get("val") for key in VALENCE}
                known = label.emo is not None or any(targets.get(name) is not None for name in params.targets)
                clip |= {"split": split if known or split == "test" else "unlabeled", "label": label.emo}
                clip |= {"where": f"{path}: '{part}_corpus': clip '{name}'", "targets": targets}
                clip |= {"group": label.session or None, "fold": label.session or None}
            yield clip


def _from_table(table: Rows, params: CorpusParams) -> Iterable[Clip]:
    ids = "clip_id" if table.has("clip_id") else "name"
    column = next((name for name in LABELS if table.has(name)), None)
    if column is None and not params.targets:
        table.require(LABELS[0])
    for name, row in table.by(ids).items():
        yield _row(name, row, "" if column is None else row[column], params)


def _row(name: str, row: Row, label: str, params: CorpusParams) -> Clip:
    targets = {target: row.number(target) for target in params.targets}
    known = bool(label) or any(value is not None for value in targets.values())
    split = row["split"].casefold() or ("labeled" if known else "unlabeled")
    if split not in SPLITS:
        raise row.error(f"split '{row['split']}' is none of {', '.join(SPLITS)}")
    if split == "labeled" and not known:
        raise row.error("in the labeled split but without a label")
    return {
        "clip_id": name,
        "path": NO_MEDIA,
        "split": split,
        "label": label or None,
        "where": row.where,
        "group": row["group"] or None,
        "fold": row["fold"] or None,
        "transcript": row["transcript"] or None,
        "targets": targets,
    }


def _naming(clips: Iterable[Clip]) -> Naming:
    """The challenge's order of the classes, where all labels are among them; else that of the labels found."""
    found = {str(clip["label"]).casefold() for clip in clips if clip.get("label")}
    return NAMING if found and found <= set(NAMING.classes or ()) else Naming()
