"""Any folder of video or audio files, at any depth, with a CSV file of labels beside them.

Columns of the CSV file (`corpus.labels`): `clip_id` or `path` (relative to `corpus.root`), or both; `label`, which may
be empty; and, as far as they are known, `split`, `group` (speaker or source video) and `transcript`. A file that has
them under other names is read with `corpus.columns`. EmoDB, say, whose clips.csv calls the group `speaker`:

    corpus: {root: /data/emodb, layout: folder, labels: clips.csv, columns: {group: speaker}}

A clip's id is its file name without suffix where that is unique, else its path without suffix. A row with a label
is in the labeled split unless its `split` says otherwise; every other file is unlabeled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mer.clips import SPLITS
from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem, stem_path
from mer.layouts.rows import Row, Rows, read_rows
from mer.params import CorpusParams


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a folder; there is one transcript a clip, so `prefer` has nothing to choose from."""
    root = Path(params.root)
    ids = _clip_ids(media_files(root, recursive=True))
    table = read_rows(root / params.labels, rename={str(ours): theirs for ours, theirs in params.columns.items()})
    table.require("label")
    rows = _rows_by_path(table, ids)
    splits = {path: _split(row) for path, row in rows.items()}
    classes = params.classes or _classes(rows, splits)
    for path, row in rows.items():
        if splits[path] != "unlabeled" and row["label"]:
            row.label("label", classes)

    def clip(path: str) -> Clip:
        if path not in rows:
            return {"clip_id": ids[path], "path": path, "split": "unlabeled"}
        row, split = rows[path], splits[path]
        return {
            "clip_id": row["clip_id"] or ids[path],
            "path": path,
            "split": split,
            "label": row["label"] if split == "labeled" else None,
            "group": row["group"] or None,
            "transcript": row["transcript"] or None,
        }

    clips = {path: clip(path) for path in ids}
    test_labels = {
        str(clips[path]["clip_id"]): row["label"]
        for path, row in rows.items()
        if splits[path] == "test" and row["label"]
    }
    return make_corpus(list(clips.values()), test_labels, classes)


def _clip_ids(paths: list[str]) -> dict[str, str]:
    """Map each path to its clip id."""
    sharing = defaultdict(list)
    for path in paths:
        sharing[stem(path)].append(path)
    ids = {path: name if len(sharing[name]) == 1 else stem_path(path) for name in sharing for path in sharing[name]}
    first_with: dict[str, str] = {}
    for path in paths:
        if (first := first_with.setdefault(ids[path], path)) != path:
            raise MerError(f"{first} and {path} would both be clip '{ids[path]}': keep one of them")
    return {path: ids[path] for path in paths}


def _rows_by_path(table: Rows, ids: Mapping[str, str]) -> dict[str, Row]:
    """Match each row of the CSV file to a file: by `path` where that column exists, else by `clip_id`."""
    column = "path" if "path" in table.columns else "clip_id"
    path_of = {normalise(path): path for path in ids} if column == "path" else {ids[path]: path for path in ids}
    found: dict[str, Row] = {}
    for key, row in table.by(column).items():
        # './a.wav' and, from Windows, 'a\\b.wav' are the same names as those that the listing gives.
        path = path_of.get(str(PurePosixPath(key.replace("\\", "/"))))
        if path is None:
            raise row.error(f"no media file for {column} '{key}'{_hint(key, ids, column)}")
        if path in found:
            raise row.error(f"'{path}' is already in line {found[path].line}")
        found[path] = row
    return found


def _hint(key: str, ids: Mapping[str, str], column: str) -> str:
    """The file that was meant, perhaps: the same name without suffix, or without the zeros that a spreadsheet drops."""
    meant = PurePosixPath(key).stem
    alike = [path for path in ids if stem(path) == meant]
    alike = alike or [path for path in ids if meant.isdecimal() and stem(path).lstrip("0") == meant.lstrip("0")]
    if not alike:
        return ""
    if column == "path":
        return f"; is it '{alike[0]}'? The column 'path' names files with their endings"
    return f"; is it '{ids[alike[0]]}', the file {alike[0]}?"


def _split(row: Row) -> str:
    split = row["split"] or ("labeled" if row["label"] else "unlabeled")
    if split not in SPLITS:
        raise row.error(f"split '{split}' is none of {', '.join(SPLITS)}")
    if split == "labeled" and not row["label"]:
        raise row.error("in the labeled split but without a label")
    return split


def _classes(rows: Mapping[str, Row], splits: Mapping[str, str]) -> tuple[str, ...]:
    """Labels of the labeled split, sorted; the test split has no say in what the classes are."""
    return tuple(sorted({row["label"] for path, row in rows.items() if splits[path] == "labeled"}))
