"""The layout of the MER2024 challenge (Lian et al., 'MER 2024', MRAC 2024), as it is downloaded.

label-disdim.csv                  name, discrete, and perhaps valence
label-transcription.csv           name, chinese, english; may be missing
video-labeled/<name>.*
video-unlabeled-with-test2noise/<name>.*
candidate_20000.csv               name: the unlabeled clips that make the test split; may be missing
label-test.csv                    name, discrete: labels of test clips, once they are published; may be missing
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from mer.errors import MerError
from mer.layouts.base import Corpus, make_corpus
from mer.layouts.files import by_stem, media_files
from mer.layouts.rows import Row, Rows, read_rows
from mer.params import CorpusParams

CLASSES = ("neutral", "angry", "happy", "sad", "worried", "surprise")
LABELED = "video-labeled"
UNLABELED = "video-unlabeled-with-test2noise"


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2024 folder; `prefer` names the column of label-transcription.csv to take.

    The test split is what candidate_20000.csv names, or without it what label-test.csv names.
    """
    root = Path(params.root)
    classes = params.classes or CLASSES
    labeled = by_stem(media_files(root, LABELED))
    unlabeled = by_stem(media_files(root, UNLABELED))
    labels = _labels(root / "label-disdim.csv", labeled, classes)
    for name, path in labeled.items():
        if name not in labels:
            raise MerError(f"{root / path}: no row for '{name}' in label-disdim.csv")
    test, test_labels = _test_split(root, unlabeled, classes)
    transcripts = _transcripts(root / "label-transcription.csv", prefer)

    def clip(name: str, path: str, split: str, label: str | None = None) -> dict[str, str | None]:
        transcript = transcripts.get(name) or None
        return {"clip_id": name, "path": path, "split": split, "label": label, "transcript": transcript}

    clips = [clip(name, path, "labeled", labels[name]) for name, path in labeled.items()]
    clips += [clip(name, path, "test" if name in test else "unlabeled") for name, path in unlabeled.items()]
    return make_corpus(clips, test_labels, classes)


def _test_split(root: Path, files: Mapping[str, str], classes: tuple[str, ...]) -> tuple[Set[str], dict[str, str]]:
    """Names of the test clips, and the labels that are known of them."""
    candidates, published = root / "candidate_20000.csv", root / "label-test.csv"
    labels = _labels(published, files, classes) if published.exists() else {}
    if not candidates.exists():
        return labels.keys(), labels
    names = _named(read_rows(candidates), files).keys()
    for name in labels:
        if name not in names:
            raise MerError(f"{published}: '{name}' is not in {candidates.name}")
    return names, labels


def _labels(path: Path, files: Mapping[str, str], classes: tuple[str, ...]) -> dict[str, str]:
    table = read_rows(path)
    table.require("discrete")
    rows = _named(table, files)
    for row in rows.values():
        if row["discrete"] not in classes:
            raise row.error(f"label '{row['discrete']}' is none of {', '.join(classes)}")
    return {name: row["discrete"] for name, row in rows.items()}


def _named(table: Rows, files: Mapping[str, str]) -> dict[str, Row]:
    """Rows by name, each of which must have a file."""
    rows = table.by("name")
    for name, row in rows.items():
        if name not in files:
            raise row.error(f"no media file for '{name}'")
    return rows


def _transcripts(path: Path, prefer: str) -> dict[str, str]:
    if not path.exists():
        return {}
    table = read_rows(path)
    table.require(prefer)
    return {name: row[prefer] for name, row in table.by("name").items()}
