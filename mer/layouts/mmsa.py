"""CH-SIMS, CH-SIMS v2, CMU-MOSI and CMU-MOSEI in the form of MMSA (Mao et al., ACL 2022 demo).

label.csv or meta.csv               video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode
Raw/<video_id>/<clip_id>.mp4        beside it

They lie in `corpus.root` or one folder below: CH-SIMS v2 has a folder with labels (`ch-simsv2s`) and one without
(`ch-simsv2u`). `mode` train and valid are labeled, test is test; rows without a label, and files without a row, are
unlabeled. The class is `annotation`, or the sign of `label`. The group is the video. Targets: sentiment (`label`), and
label_T, label_A, label_V, the same from text, sound or picture alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem_path
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.rows import Row, Rows, read_rows
from mer.params import CorpusParams

TABLE = re.compile(r"(label|meta)(?![a-z]).*\.csv|unlabel\w*\.csv", re.IGNORECASE)
UNLABELED = re.compile(r"\(u\)|v2u\b|[-_ ]u$|unlabel|unsupervised", re.IGNORECASE)
RAW = "Raw"
"""Of the folder with the media; capitals may be others."""
MODES = dict.fromkeys(("train", "valid", "val", "validation", "dev"), "labeled") | {"test": "test"}
UNLABELED_MODES = ("", "unlabeled", "unlabel", "unsupervised", "u")
SCORES = {"sentiment": "label", "label": "label", "label_T": "label_T", "label_A": "label_A", "label_V": "label_V"}
"""Targets, and the column of each."""
KEYS = ("video_id", "clip_id")


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a corpus in MMSA's form; there is one transcript a clip, so `prefer` has nothing to choose from."""
    root = Path(params.root)
    notes = Notes()
    clips: list[Clip] = []
    found = tables(root)
    for table in found:
        clips += _part(root, table, params, notes)
    for folder in dict.fromkeys(table.parent for table in found):
        for other in _tables_in(folder):
            if other not in found:
                notes.add("passed over", other.relative_to(root).as_posix())
    if not found:
        raise MerError(f"{root}: no label.csv or meta.csv in it or one folder below")
    repeated: dict[str, str] = {}
    for clip in clips:
        if (first := repeated.setdefault(clip["clip_id"], clip.get("where", ""))) != clip.get("where", ""):
            raise MerError(f"{clip.get('where')}: clip '{clip['clip_id']}' is in {first} already")
    return make_corpus(clips, params, Naming(), notes)


def tables(root: Path) -> list[Path]:
    """The tables of a corpus: one in each folder, and one more there that says by its name that it has no labels."""
    chosen: list[Path] = []
    for folder in (root, *sorted(path for path in root.glob("*/") if path.name.casefold() != RAW.casefold())):
        here = _tables_in(folder)
        plain = [path for path in here if not UNLABELED.search(path.stem)]
        chosen += plain[:1] + [path for path in here if UNLABELED.search(path.stem)]
    return chosen


def _tables_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if TABLE.fullmatch(path.name))


def raw_folder(table: Path) -> str | None:
    """Name of the folder with the media beside a table; None where there is none."""
    names = [path.name for path in table.parent.glob("*/") if path.name.casefold() == RAW.casefold()]
    return min(names, key=lambda name: (name != RAW, name), default=None)


def _part(root: Path, path: Path, params: CorpusParams, notes: Notes) -> Iterator[Clip]:
    """Clips of one table and the folder `Raw` beside it."""
    table = read_rows(path, encoding=params.encoding)
    table.require(*KEYS)
    raw = raw_folder(path)
    if raw is None:
        raise MerError(f"{path.parent}: no folder 'Raw' beside {path.name}")
    below = (path.parent / raw).relative_to(root).as_posix()
    files = {stem_path(file)[len(below) + 1 :]: file for file in media_files(root, below, recursive=True)}
    bare = bool(UNLABELED.search(path.stem) or UNLABELED.search(path.parent.name)) or not table.has("label")
    seen = set()
    for name, row in table.by(*KEYS).items():
        file = _match(normalise(name), files, notes)
        if file is None:
            notes.add("missing", name)
            continue
        seen.add(file)
        yield _clip(row, file, files[file], table, bare, params)
    for name in sorted(files.keys() - seen):
        notes.add("extra", files[name])
        yield {"clip_id": name, "path": files[name], "split": "unlabeled", "group": name.split("/")[0]}


def _match(name: str, files: dict[str, str], notes: Notes) -> str | None:
    """The file of a row; a spreadsheet drops the zeros before a number, and they are put back where that is plain."""
    if name in files:
        return name
    video, _, clip = name.rpartition("/")
    alike = [
        file
        for file in (f"{video}/{clip.zfill(width)}" for width in range(len(clip) + 1, 9))
        if clip.isdecimal() and file in files
    ]
    if len(alike) != 1:
        return None
    notes.add("mended", f"{name} is {alike[0]}")
    return alike[0]


def _clip(row: Row, name: str, path: str, table: Rows, bare: bool, params: CorpusParams) -> Clip:
    mode = row["mode"].casefold()
    clip: Clip = {
        "clip_id": name,
        "path": path,
        "split": "unlabeled",
        "where": row.where,
        "group": row["video_id"],
        "transcript": row["text"] or None,
    }
    if mode not in MODES and mode not in UNLABELED_MODES:
        raise row.error(f"mode '{row['mode']}' is none of {', '.join(MODES)}, unlabeled")
    if bare or not row["label"] or (mode in UNLABELED_MODES and table.has("mode")):
        return {**clip, "split": "test"} if mode == "test" and not row["label"] else clip
    scores = {name: row.number(column) for name, column in SCORES.items() if name in params.targets}
    targets = {name: scores.get(name) for name, column in SCORES.items() if table.has(column)}
    label = row["annotation"].casefold() or _sign(row)
    return {**clip, "split": MODES.get(mode, "labeled"), "label": label, "targets": targets}


def _sign(row: Row) -> str:
    score = row.number("label") or 0.0
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"
