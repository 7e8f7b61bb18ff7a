"""Links, in data/links, to what a stage reads and dvc.yaml cannot name.

A DVC dependency is a path, but `face.encoder` may be `hog` as well as a folder, and `corpus.labels` is relative to the
corpus unless it is absolute. So each such stage depends on a folder of links, data/links/<stage>, and keeps in it a
link to every file that it reads: DVC follows them, and a changed file runs the stage again.

    python -m mer.links    # make them anew from params.yaml: `make repro` does, so that a fresh clone has them
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mer.console import LOCALE, take_any_letter, told
from mer.errors import MerError
from mer.half_written import mend
from mer.layouts.odd_files import check_tree
from mer.machine import explain
from mer.params import Params, load_params

FOLDER = Path("data/links")
BUILT_IN = ("hog", "tfidf")
"""Names of encoders that are no path."""


def link(stage: str, params: Params, folder: Path = FOLDER) -> None:
    """Make the links of a stage those that `params` ask for. A path where nothing is gets none: the stage says so."""
    place = folder / stage
    place.mkdir(parents=True, exist_ok=True)
    wanted = {name: path for path in READ_BY[stage](params) for name, path in _files(path)}
    for name in [entry.name for entry in os.scandir(place) if entry.name != ".gitignore"]:
        if name not in wanted or not _leads_to(place / name, wanted[name]):
            _remove(place / name)
    for name, path in wanted.items():
        if not (place / name).is_symlink():
            (place / name).symlink_to(path)


def _labels(params: Params) -> Iterator[Path]:
    """A file of labels that is not in the corpus: what is in it is watched with it."""
    corpus = params.corpus
    if corpus.layout == "folder":
        path, root = Path(corpus.root, corpus.labels).resolve(), Path(corpus.root).resolve()
        if not path.is_relative_to(root):
            yield path


def _recogniser(params: Params) -> Iterator[Path]:
    if params.transcribe.asr is not None:
        yield Path(params.transcribe.asr)


def _face(params: Params) -> Iterator[Path]:
    if params.face.encoder not in BUILT_IN:
        yield Path(params.face.encoder)
    if params.face.detector_model is not None:
        yield Path(params.face.detector_model)


def _text(params: Params) -> Iterator[Path]:
    if params.text.encoder not in BUILT_IN:
        yield Path(params.text.encoder)


READ_BY = {"ingest": _labels, "transcribe": _recogniser, "extract_face": _face, "extract_text": _text}


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Link name -> file, for a file or for all files below a folder. Links to folders are not followed by DVC."""
    path = Path(os.path.abspath(path))
    if path.is_file():
        yield path.name, path
    elif path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")):
            yield "__".join((path.name, *file.relative_to(path).parts)), file


def _leads_to(link: Path, target: Path) -> bool:
    return link.is_symlink() and os.readlink(link) == str(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def main() -> None:
    """All links anew, after a look at what DVC stumbles over: see `mer.layouts.odd_files` and `mer.half_written`."""
    take_any_letter()
    try:
        for line in mend():
            print(line)
        params = load_params()
        if Path(params.corpus.root).is_dir():
            check_tree(Path(params.corpus.root))
        for name in READ_BY:
            link(name, params)
    except MerError as error:
        sys.exit(f"error: {told(error)}")
    except UnicodeEncodeError:
        sys.exit(f"error: {LOCALE}")
    except OSError as error:
        sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    main()
