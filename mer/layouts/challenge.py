"""What the layouts of the MER challenges share: their classes, and their files of labels, names and transcripts."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, stem
from mer.layouts.labels import Naming
from mer.layouts.rows import Row, Rows, read_rows
from mer.params import CorpusParams

CLASSES = ("neutral", "angry", "happy", "sad", "worried", "surprise")


NAMING = Naming(CLASSES)
VALENCE = "valence"


def read_one_folder(params: CorpusParams, prefer: str, *, train: str, candidates: str, published: str) -> Corpus:
    """Read a challenge that ships all clips in one folder, `video`, and says by CSV files what each is for.

    Its archives may have been unpacked into folders of their own below `video`; a clip that lies in several is taken
    once. A clip of the training set that is to be predicted, too, is predicted and not learned from.

    Args:
        train: file with the labels of the training set.
        candidates: file that names the clips to predict.
        published: file with labels of test clips, which may come later.
    """
    root = Path(params.root)
    files = {stem(path): path for path in reversed(media_files(root, "video", recursive=True))}
    labels = read_labels(root / train, files, params)
    test, test_labels = read_test_split(root / candidates, root / published, files, params)
    transcripts = read_transcripts(root / "subtitle_chieng.csv", prefer, params)

    def clip(name: str) -> Clip:
        split = "test" if name in test else "labeled" if name in labels else "unlabeled"
        known = test_labels if split == "test" else labels
        return make_clip(name, files[name], split, transcripts, params, known.get(name))

    return make_corpus([clip(name) for name in sorted(files)], params, NAMING, test_order=test_labels)


def labeled_clips(
    root: Path, table: str, files: Mapping[str, str], params: CorpusParams, transcripts: Mapping[str, str]
) -> list[Clip]:
    """The clips of a folder that is all training set: each file needs a row in `table`, each row a file."""
    labels = read_labels(root / table, files, params)
    for name, path in files.items():
        if name not in labels:
            raise MerError(f"{root / path}: no row for '{name}' in {Path(table).name}")
    return [make_clip(name, path, "labeled", transcripts, params, labels[name]) for name, path in files.items()]


def make_clip(
    name: str,
    path: str,
    split: str,
    transcripts: Mapping[str, str],
    params: CorpusParams,
    known: Row | None = None,
) -> Clip:
    """A row of the clip table, with what is `known` of it; the challenges do not say who speaks."""
    clip: Clip = {"clip_id": name, "path": path, "split": split, "transcript": transcripts.get(name) or None}
    if known is not None:
        valence = known.number(VALENCE) if VALENCE in params.targets else None
        clip |= {"label": known["discrete"], "where": known.where, "targets": {VALENCE: valence}}
    return clip


def read_labels(path: Path, files: Mapping[str, str], params: CorpusParams) -> dict[str, Row]:
    """Rows with labels by name: `discrete`, and perhaps `valence`; each must have a file."""
    table = read_rows(path, encoding=params.encoding)
    table.require("discrete")
    rows = named(table, files)
    for row in rows.values():
        if not row["discrete"]:
            raise row.error("empty 'discrete'")
    return rows


def read_test_split(
    candidates: Path, published: Path, files: Mapping[str, str], params: CorpusParams
) -> tuple[Set[str], dict[str, Row]]:
    """Names of the test clips, and the labels that are known of them.

    The test split is what `candidates` names, or without that file what `published` has labels of.
    """
    labels = read_labels(published, files, params) if published.exists() else {}
    if not candidates.exists():
        return labels.keys(), labels
    names = named(read_rows(candidates, encoding=params.encoding), files).keys()
    for name in labels:
        if name not in names:
            raise MerError(f"{published}: '{name}' is not in {candidates.name}")
    return names, labels


def named(table: Rows, files: Mapping[str, str]) -> dict[str, Row]:
    """Rows by name, each of which must have a file."""
    rows = table.by("name")
    for name, row in rows.items():
        if name not in files:
            raise row.error(f"no media file for '{name}'")
    return rows


def read_transcripts(path: Path, prefer: str, params: CorpusParams) -> dict[str, str]:
    """Transcripts by name from the column `prefer`; none where there is no such file."""
    if not path.exists():
        return {}
    table = read_rows(path, encoding=params.encoding)
    table.require(prefer)
    return {name: row[prefer] for name, row in table.by("name").items()}
