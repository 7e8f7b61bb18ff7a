"""Find the media files of a corpus, quickly enough for a hundred thousand of them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mer.errors import MerError
from mer.foreign import normalise as normalise
from mer.media.formats import MEDIA_SUFFIXES
from mer.odd_files import fault_of, is_file, is_folder


def media_files(root: Path, folder: str = "", *, recursive: bool = False) -> list[str]:
    """Paths of the media files in a folder, relative to `root`, with forward slashes, sorted.

    Hidden files and other kinds of file are passed over. Links are followed, each real folder entered once.

    Raises:
        MerError: the folder cannot be read, or a file name is not valid Unicode.
    """
    return sorted(_walk(root, folder, recursive, {os.path.realpath(root / folder)}))


def find(root: Path, *names: str) -> str | None:
    """Where a file or folder of one of these names lies, in `root` or one folder below, relative to `root`.

    Earlier names win over later ones, `root` over the folders below. None where there is none.
    """
    for name in names:
        for path in (root / name, *sorted(root.glob(f"*/{name}"))):
            if path.exists():
                return path.relative_to(root).as_posix()
    return None


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


def _walk(root: Path, folder: str, recursive: bool, entered: set[str]) -> Iterator[str]:
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
        if os.path.splitext(entry.name)[1].lower() in MEDIA_SUFFIXES:
            if is_file(entry):
                yield _encodable(path)
            elif not is_folder(entry) and (fault := fault_of(entry.path)) is not None:
                raise MerError(f"corpus.root: {fault}")
        elif recursive and is_folder(entry):
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if real not in entered:
                entered.add(real)
                yield from _walk(root, path, recursive, entered)


def _encodable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise MerError(f"corpus.root: {path!a}: the file name is not valid UTF-8; rename the file") from None
    return path
