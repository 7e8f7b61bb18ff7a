"""Any folder of video or audio files, at any depth, with a CSV file of labels beside them.

Columns of the CSV file (`corpus.labels`): `clip_id` or `path` (relative to `corpus.root`), or both; `label`, which may
be empty; and, as far as they are known, `split`, `group` (speaker or source video), `transcript`, `fold` (the corpus'
own), `start` and `end` (seconds: several rows may then name one `path`), a column for each of `corpus.target`, and
votes or probabilities: `soft_<class>`, or columns called as `corpus.classes`. A file that has them under other names is
read with `corpus.columns`. EmoDB, say, whose clips.csv calls the group `speaker`:

    corpus: {root: /data/emodb, layout: folder, labels: clips.csv, columns: {group: speaker}}

A clip's id is its file name without suffix where that is unique, else its path without suffix; a segment's has its
times behind it. A row with a label, votes or a target is in the labeled split unless its `split` says otherwise; every
other file is unlabeled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mer.clips import SPLITS
from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem, stem_path
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.rows import Row, Rows, read_rows
from mer.layouts.segments import overlapping, segment
from mer.params import CorpusParams

SOFT = "soft_"


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a folder; there is one transcript a clip, so `prefer` has nothing to choose from."""
    root = Path(params.root)
    ids = _clip_ids(media_files(root, recursive=True))
    renamed = {str(ours): theirs for ours, theirs in params.columns.items()}
    table = read_rows(root / params.labels, rename=renamed, encoding=params.encoding)
    votes, targets = _vote_columns(table, params), _target_columns(table, params)
    if not votes and not targets:
        table.require("label")
    parts = table.has("start") or table.has("end")
    rows = _rows_by_path(table, ids, several=parts)
    notes = Notes()
    clips: list[Clip] = []
    for path in ids:
        if path not in rows:
            clips.append({"clip_id": ids[path], "path": path, "split": "unlabeled"})
            notes.add("extra", path)
        clips += [_clip(row, path, ids[path], votes, targets) for row in rows.get(path, ())]
    _check_overlaps(clips)
    return make_corpus(clips, params, Naming(), notes, test_order=_ids_in_table_order(clips, table))


def _clip(row: Row, path: str, clip_id: str, votes: Mapping[str, str], targets: Mapping[str, str]) -> Clip:
    """The clip that a row of the CSV file tells of."""
    start, end = segment(row)
    soft = _votes(row, votes)
    numbers = {name: row.number(column) for name, column in targets.items()}
    known = bool(row["label"] or soft or any(value is not None for value in numbers.values()))
    clip: Clip = {
        "clip_id": row["clip_id"] or clip_id + _times(start, end),
        "path": path,
        "split": _split(row, known),
        "label": row["label"] or None,
        "where": row.where,
        "group": row["group"] or None,
        "transcript": row["transcript"] or None,
        "fold": row["fold"] or None,
        "start": start,
        "end": end,
        "targets": numbers,
        "soft": soft,
    }
    return clip


def _times(start: float | None, end: float | None) -> str:
    if start is None and end is None:
        return ""
    return f"_{start or 0:.3f}-{'' if end is None else f'{end:.3f}'}"


def _vote_columns(table: Rows, params: CorpusParams) -> dict[str, str]:
    """Class -> the column with its votes: those that begin with `soft_`, or one for each of `corpus.classes`."""
    prefixed = {name[len(SOFT) :]: name for name in table.columns if name.casefold().startswith(SOFT)}
    if prefixed or not params.classes or not all(map(table.has, params.classes)):
        return prefixed
    return {name: name for name in params.classes}


def _votes(row: Row, columns: Mapping[str, str]) -> dict[str, float]:
    """Votes of the classes; empty where no cell has any."""
    found = {name: row.number(column) for name, column in columns.items()}
    if all(value is None for value in found.values()):
        return {}
    votes = {name: value or 0.0 for name, value in found.items()}
    for name, value in votes.items():
        if value < 0:
            raise row.error(f"{columns[name]} {value:g}: votes cannot be negative")
    if not sum(votes.values()):
        raise row.error("the votes sum to zero; leave their cells empty where there are none")
    return votes


def _target_columns(table: Rows, params: CorpusParams) -> dict[str, str]:
    """Target -> its column: its own name, or that with `target_` before it."""
    columns = {}
    for name in params.targets:
        columns[name] = next((column for column in (name, f"target_{name}") if table.has(column)), "")
        if not columns[name]:
            found = ", ".join(table.columns)
            raise MerError(f"corpus.target: {table.source} has no column '{name}' (found: {found})")
    return columns


def _ids_in_table_order(clips: Sequence[Clip], table: Rows) -> list[str]:
    by_where = {clip.get("where"): clip["clip_id"] for clip in clips}
    return [by_where[row.where] for row in table.rows if row.where in by_where]


def _check_overlaps(clips: Iterable[Clip]) -> None:
    pairs = list(overlapping([clip for clip in clips if "where" in clip]))
    for first, clip in pairs:
        more = f"; so do {len(pairs) - 1} pairs more" if len(pairs) > 1 else ""
        raise MerError(
            f"{clip['where']}: segment '{clip['clip_id']}' overlaps '{first['clip_id']}' of the same file "
            f"{clip['path']}{more}; say by 'group' where two people speak at a time"
        )


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


def _rows_by_path(table: Rows, ids: Mapping[str, str], *, several: bool) -> dict[str, list[Row]]:
    """Match each row of the CSV file to a file: by `path` where that column exists, else by `clip_id`.

    Args:
        several: rows may share a file: they are segments of it.
    """
    column = "path" if table.has("path") else "clip_id"
    path_of = {normalise(path): path for path in ids} if column == "path" else {ids[path]: path for path in ids}
    found: dict[str, list[Row]] = {}
    missing = []
    for key, row in _keyed(table, column, several):
        # './a.wav' and, from Windows, 'a\\b.wav' are the same names as those that the listing gives.
        path = path_of.get(key) or path_of.get(str(PurePosixPath(key.replace("\\", "/"))))
        if path is None:
            missing.append((key, row))
            continue
        if path in found and not several:
            raise row.error(f"'{path}' is already in line {found[path][0].line}")
        found.setdefault(path, []).append(row)
    for key, row in missing:
        more = f"; neither have {len(missing) - 1} rows more" if len(missing) > 1 else ""
        raise row.error(f"no media file for {column} '{key}'{_hint(key, ids, column)}{more}")
    return found


def _keyed(table: Rows, column: str, several: bool) -> Iterator[tuple[str, Row]]:
    if not several:
        yield from table.by(column).items()
        return
    table.require(column)
    for row in table.rows:
        if not row[column]:
            raise row.error(f"empty '{column}'")
        yield row[column], row


def _hint(key: str, ids: Mapping[str, str], column: str) -> str:
    """The file that was meant, perhaps: suffix, capitals and the zeros that a spreadsheet drops aside."""
    path = PurePosixPath(key.replace("\\", "/"))
    alike = [one for one in ids if stem(one) == path.stem]
    alike = alike or [one for one in ids if stem(one).casefold() == path.stem.casefold()]
    alike = alike or [one for one in ids if path.stem.isdecimal() and stem(one).lstrip("0") == path.stem.lstrip("0")]
    if not alike:
        return ""
    if column == "path":
        if PurePosixPath(alike[0]).name == path.name:
            return f"; is it '{alike[0]}'? corpus.root is a folder too high, or too low, for this table"
        return f"; is it '{alike[0]}'? The column 'path' names files with their endings"
    return f"; is it '{ids[alike[0]]}', the file {alike[0]}?"


def _split(row: Row, known: bool) -> str:
    split = row["split"].casefold() or ("labeled" if known else "unlabeled")
    if split not in SPLITS:
        raise row.error(f"split '{row['split']}' is none of {', '.join(SPLITS)}")
    if split == "labeled" and not known:
        raise row.error("in the labeled split but without a label")
    return split
