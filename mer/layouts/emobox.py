"""EmoBox's lists of a corpus (Ma et al., Interspeech 2024), beside the recordings that they name.

data/emodb/fold_1/emodb_train_fold_1.jsonl    key, wav, emo, dataset; perhaps start_time, end_time
data/emodb/fold_1/emodb_test_fold_1.jsonl     likewise; and valid
data/emodb/label_map.json                     emo -> the name of a class; may be missing
data/emodb/data.seg.wrd.stm                   who speaks; may be missing
downloads/emodb/wav/03a01Fa.wav               as `wav` names it; the beginning of that path may be left out

The lists of one corpus lie in `corpus.root`, in a folder of it, or in a folder of `data`. Several folds are kept: a
clip is in the fold that tests it. With one fold, train and valid are labeled and test is test. The group is the
speaker, where names or that file tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mer.errors import MerError
from mer.layouts import crema_d, emodb, iemocap, ravdess
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem_path
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.text import lines_of, read_text
from mer.params import CorpusParams
from mer.running.foreign import read_json

FOLD = re.compile(r"fold_?(\d+)")
LIST = re.compile(r"(?:.*_)?(train|valid|test)(?:_fold_?\d+)?\.jsonl")
SPEAKERS: dict[str, Callable[[str], str | None]] = {
    "emodb": emodb.speaker,
    "cremad": crema_d.speaker,
    "ravdess": ravdess.speaker,
    "iemocap": iemocap.speaker,
}
"""Corpora whose names say who speaks, by EmoBox's name of them."""


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read the lists of one corpus; they have no transcripts.

    Raises:
        MerError: there are no lists, or those of several corpora that have recordings here; or a line is wrong.
    """
    root = Path(params.root)
    notes = Notes()
    files = {stem_path(path): path for path in media_files(root, recursive=True)}
    where, entries, parts = _choose(root, files, params)
    speakers = _speakers(where / "data.seg.wrd.stm", params)
    prefix = _prefix(entries, files)
    clips: list[Clip] = []
    for key, entry in entries.items():
        path = files.get(_below(entry["wav"], prefix))
        if path is None:
            notes.add("missing", key)
            continue
        name = key.removeprefix(f"{entry.get('dataset', '')}-")
        by_name = SPEAKERS.get(str(entry.get("dataset")), lambda _: None)(name)
        clips.append(
            {
                "clip_id": name,
                "path": path,
                "label": str(entry["emo"]),
                "where": entry["where"],
                "group": by_name or speakers.get(key) or entry.get("spk"),
                "start": entry.get("start_time"),
                "end": entry.get("end_time"),
                **parts[key],
            }
        )
    used = {clip["path"] for clip in clips}
    for path in sorted(set(files.values()) - used):
        notes.add("extra", path)
    return make_corpus(clips, params, _naming(where / "label_map.json"), notes)


def lists(root: Path) -> list[Path]:
    """Folders with lists of a corpus: those that have folders of folds with lists in them."""
    places = [root, *sorted(root.glob("*/")), *sorted(root.glob("data/*/"))]
    return [place for place in dict.fromkeys(places) if any(_folds(place))]


def _folds(place: Path) -> Iterator[tuple[int, Path]]:
    """Number and folder of each fold that has lists."""
    found = ((FOLD.fullmatch(path.name), path) for path in place.glob("fold*/"))
    yield from sorted((int(fold[1]), path) for fold, path in found if fold and any(path.glob("*.jsonl")))


def _choose(
    root: Path, files: Mapping[str, str], params: CorpusParams
) -> tuple[Path, dict[str, dict[str, Any]], dict[str, Clip]]:
    """The lists of which recordings are here: their folder, the entries by key, and the split or fold of each."""
    places = lists(root)
    if not places:
        raise MerError(f"{root}: no folders fold_1, fold_2 with .jsonl lists in it, in a folder of it, or in data/*")
    found = []
    for place in places:
        entries, parts = _entries(place, params)
        if _prefix(entries, files) is not None:
            found.append((place, entries, parts))
    names = ", ".join(place.name for place in places)
    if not found:
        wav = next((entry["wav"] for entry in entries.values()), "wav")
        raise MerError(
            f"{root}: lists of {names}, and no recording that they name is here ({wav}): corpus.root is the folder "
            "that holds both"
        )
    if len(found) > 1:
        raise MerError(
            f"{root}: lists of {names}, and several of these have recordings here: give the lists and the recordings "
            "of one a folder"
        )
    return found[0]


def _entries(place: Path, params: CorpusParams) -> tuple[dict[str, dict[str, Any]], dict[str, Clip]]:
    """Every entry of the lists by its key, and what the lists that it is in make of it."""
    entries: dict[str, dict[str, Any]] = {}
    parts: dict[str, Clip] = {}
    folds = list(_folds(place))
    for number, folder in folds:
        for split, path in _lists_of(folder):
            for entry in _read_list(path, params):
                key = str(entry["key"])
                first = entries.setdefault(key, entry)
                if (first["wav"], first["emo"]) != (entry["wav"], entry["emo"]):
                    raise MerError(
                        f"{entry['where']}: '{key}' is another recording or emotion than in {first['where']}"
                    )
                part = parts.setdefault(key, {"split": "labeled"})
                if split == "test" and len(folds) == 1:
                    part["split"] = "test"
                elif split == "test" and part.setdefault("fold", str(number)) != str(number):
                    raise MerError(f"{entry['where']}: '{key}' is in the test list of fold {part['fold']} already")
    return entries, parts


def _lists_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The list of each split; some corpora have it twice, as `test_fold1` and `test_fold_1`: the second is taken."""
    chosen: dict[str, Path] = {}
    for path in sorted(folder.glob("*.jsonl")):
        known = LIST.fullmatch(path.name)
        if known:
            chosen[known[1]] = path  # '_' sorts after the digits
    yield from chosen.items()


def _read_list(path: Path, params: CorpusParams) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines_of(read_text(path, params.encoding)), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise MerError(f"{where}: not JSON") from None
        if not isinstance(entry, dict):
            raise MerError(f"{where}: not an object with key, wav and emo")
        for name in ("key", "wav", "emo"):
            if not isinstance(entry.get(name), str | int) or not str(entry[name]).strip():
                raise MerError(f"{where}: no '{name}'")
        start, end = (_seconds(entry, name, where) for name in ("start_time", "end_time"))
        if end is not None and end <= (start or 0.0):
            raise MerError(f"{where}: the segment ends at {end:g} s, where it starts at {start or 0:g} s")
        known = {"wav": normalise(str(entry["wav"]).strip()), "emo": str(entry["emo"]).strip()}
        yield {**entry, **known, "start_time": start, "end_time": end, "where": where}


def _seconds(entry: Mapping[str, Any], name: str, where: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise MerError(f"{where}: {name} {value!r} is no time in seconds")
    return float(value)


def _prefix(entries: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> int | None:
    """How many folders to leave off the beginning of `wav` so that most recordings are found; None where none is."""
    deepest = max((len(PurePosixPath(entry["wav"]).parts) for entry in entries.values()), default=0)
    counts = [sum(_below(entry["wav"], cut) in files for entry in entries.values()) for cut in range(deepest)]
    return counts.index(max(counts)) if any(counts) else None


def _below(wav: str, cut: int | None) -> str:
    return stem_path(str(PurePosixPath(*PurePosixPath(wav.replace("\\", "/")).parts[cut or 0 :])))


def _speakers(path: Path, params: CorpusParams) -> dict[str, str]:
    """Key -> speaker from lines of `key channel speaker start end ...`; empty where there is no such file."""
    if not path.is_file():
        return {}
    cells = (line.split() for line in lines_of(read_text(path, params.encoding)))
    return {words[0]: words[2] for words in cells if len(words) > 2}


def _naming(path: Path) -> Naming:
    """The names of the classes, in the order in which the map has them."""
    if not path.is_file():
        return Naming()
    names = {str(theirs): str(ours) for theirs, ours in read_json(path).items()}
    return Naming(tuple(dict.fromkeys(names.values())), names)
