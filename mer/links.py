"""Links, in data/links, to what a stage reads and dvc.yaml cannot name.

A DVC dependency is a path, but `faces.detector_model` may be nothing, and `corpus.labels` is relative to the corpus
unless it is absolute. So each such stage depends on a folder of links, data/links/<stage>, and keeps in it a link to
every file that it reads: DVC follows them, and a changed file runs the stage again. The links of the views, of which
there is any number, are made by a stage of their own, link_views, in data/view_links/<view>.

    python -m mer.links    # make them anew from params.yaml: `make repro` does, so that a fresh clone has them
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mer.errors import MerError
from mer.half_written import mend
from mer.odd_files import check_tree
from mer.params import Params, load_params, origin
from mer.params.corpus import READ_BY as LAYOUTS_THAT_READ
from mer.running.console import LOCALE, take_any_letter, told
from mer.running.machine import explain

FOLDER = Path("data/links")
VIEWS = Path("data/view_links")
OTHERS = ("decode", "transcripts", "face_crops", "")
"""Steps that are no view's; and hidden files."""
NO_LINKS = "none.txt"
"""What lies in the folder of a view that is made from no file: DVC warns of empty folders."""
LABELED_BY_FILE = LAYOUTS_THAT_READ["labels"]
BUILT_IN = ("hog", "tfidf")
"""Names of encoders that are no path."""


def link(stage: str, params: Params, folder: Path = FOLDER) -> None:
    """Make the links of a stage those that `params` ask for. A path where nothing is gets none: the stage says so."""
    _make_links(folder / stage, READ_BY[stage](params))


def link_views(params: Params, folder: Path = VIEWS) -> None:
    """Make the links of all views: to the weights of an encoder, or to the files of an import."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in list(os.scandir(folder)):
        if entry.name not in params.views:
            _remove(Path(entry.path))
    for name, view in params.views.items():
        _make_links(folder / name, [] if origin(view) in BUILT_IN else [Path(origin(view))])
        if not any((folder / name).iterdir()):
            (folder / name / NO_LINKS).write_text("This view is made from no file.\n", encoding="utf-8")


def forget_views(params: Params, data: Path = Path("data")) -> None:
    """Remove what views that are no more have left in `data`: DVC keeps a copy, and would take it for a result."""
    kept = {*params.views, *OTHERS}
    for folder in ("features", "manifests", "quarantine"):
        for path in (data / folder).glob("*"):
            if path.name.split(".")[0] not in kept:
                _remove(path)


def _make_links(place: Path, paths: Iterable[Path]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    wanted = {name: path for path in paths for name, path in _files(path)}
    for name in [entry.name for entry in os.scandir(place) if entry.name != ".gitignore"]:
        if name not in wanted or not _leads_to(place / name, wanted[name]):
            _remove(place / name)
    for name, path in wanted.items():
        if not (place / name).is_symlink():
            (place / name).symlink_to(path)


def _labels(params: Params) -> Iterator[Path]:
    """A file of labels that is not in the corpus: what is in it is watched with it."""
    corpus = params.corpus
    if corpus.layout in (*LABELED_BY_FILE, "auto"):
        path, root = Path(corpus.root, corpus.labels).resolve(), Path(corpus.root).resolve()
        if not path.is_relative_to(root):
            yield path


def _recogniser(params: Params) -> Iterator[Path]:
    if params.transcribe.asr is not None:
        yield Path(params.transcribe.asr)


def _detector(params: Params) -> Iterator[Path]:
    if params.faces.detector_model is not None:
        yield Path(params.faces.detector_model)
    if params.faces.crops is not None:
        yield Path(params.faces.crops)


READ_BY = {"ingest": _labels, "transcribe": _recogniser, "crop_faces": _detector}


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
    """All links anew, after a look at what DVC stumbles over: see `mer.odd_files` and `mer.half_written`."""
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
