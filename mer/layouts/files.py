"""Find the media files of a corpus, quickly enough for a hundred thousand of them."""

from __future__ import annotations

import logging
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mer.errors import MerError
from mer.media.formats import MEDIA_SUFFIXES
from mer.odd_files import fault_of, is_file, is_folder
from mer.running.foreign import normalise as normalise

log = logging.getLogger(__name__)

COMPANIONS = re.compile(
    r"\.(csv|tsv|txt|jsonl?|ya?ml|xml|xlsx?|md|pdf|html|srt|vtt|ass|lab|textgrid|eaf|parquet|np[yz]|pkl|pickle|h5|hdf5|"
    r"mat|dvc|py|sh|zip|gz|tar|rar|7z|jpe?g|png|bmp)"
)
"""Endings of what lies beside clips and is no clip: tables, texts, features, archives, pictures."""
MOST_ENDINGS = 5
"""How many endings of files that are passed over are named."""


def media_files(root: Path, folder: str = "", *, recursive: bool = False) -> list[str]:
    """Paths of the media files in a folder, relative to `root`, with forward slashes, sorted.

    Hidden files and other kinds of file are passed over; those that might have been meant as clips are counted in a
    warning. Links are followed, each real folder entered once.

    Raises:
        MerError: the folder cannot be read, or a file name is not valid Unicode.
    """
    others: Counter[str] = Counter()
    found = sorted(_walk(root, folder, recursive, {os.path.realpath(root / folder)}, others))
    if others:
        endings = [f"{count} {ending or 'without an ending'}" for ending, count in others.most_common(MOST_ENDINGS)]
        more = ", ..." if len(others) > MOST_ENDINGS else ""
        log.warning(
            "%s: %d files are no clips by their endings and passed over: %s%s",
            *(root / folder, others.total(), ", ".join(endings), more),
        )
    return found


def find(root: Path, *names: str) -> str | None:
    """Where a file or folder of one of these names lies, in `root` or one folder below, relative to `root`.

    Earlier names win over later ones, `root` over the folders below; in `root`, capitals may be others. None where
    there is none.
    """
    for name in names:
        for path in (root / name, *sorted(root.glob(f"*/{name}"))):
            if path.exists():
                return path.relative_to(root).as_posix()
    alike = {path.name.casefold(): path.name for path in sorted(root.glob("*"), reverse=True)}
    return next((alike[name.casefold()] for name in names if name.casefold() in alike), None)


def locate(root: Path, *names: str) -> str:
    """As `find`, for what has to be there: the first name where there is none, so that reading it names it."""
    return find(root, *names) or names[0]


def stem(path: str) -> str:
    """The file's name without folder and suffix, in composed Unicode."""
    return normalise(posixpath.splitext(posixpath.basename(path))[0])


def stem_path(path: str) -> str:
    """The path without suffix, in composed Unicode."""
    return normalise(posixpath.splitext(path)[0])


def by_stem(paths: list[str]) -> dict[str, str]:
    """Map the name of each file without its suffix to its path.

    Raises:
        MerError: two files share a name.
    """
    found: dict[str, str] = {}
    for path in paths:
        if (first := found.setdefault(stem(path), path)) != path:
            raise MerError(f"{first} and {path} would both be clip '{stem(path)}': keep one of them")
    return found


def _walk(root: Path, folder: str, recursive: bool, entered: set[str], others: Counter[str]) -> Iterator[str]:
    # scandir tells files from folders without a stat call for each, which matters on network file systems.
    try:
        with os.scandir(root / folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise MerError(f"{root / folder}: {error.strerror or error}") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{folder}/{entry.name}" if folder else entry.name
        ending = os.path.splitext(entry.name)[1].lower()
        if ending in MEDIA_SUFFIXES:
            if is_file(entry):
                yield _encodable(path)
            elif not is_folder(entry) and (fault := fault_of(entry.path)) is not None:
                raise MerError(f"corpus.root: {fault}")
        elif recursive and is_folder(entry):
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if real not in entered:
                entered.add(real)
                yield from _walk(root, path, recursive, entered, others)
        elif not COMPANIONS.fullmatch(ending) and is_file(entry):
            others[ascii(ending)[1:-1]] += 1


def _encodable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise MerError(f"corpus.root: {path!a}: the file name is not valid UTF-8; rename the file") from None
    return path
