"""Where the timelines of several films go: names with parts that each film fills in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mer.errors import MerError
from mer.prediction.source import Source

PART = re.compile(r"\{(folder|name|file)\}")
"""A film's folder, its name without the ending, and its name."""
EXAMPLE = "'timelines/{name}.srt', or '{folder}/{name}.srt' for beside each film"
NOTES = "mer-timelines.jsonl"
"""Says which films are finished; lies in the folder of the names."""


def names_of(outs: Sequence[Path], sources: Sequence[Source]) -> list[list[Path]]:
    """The files that each film's timeline goes to.

    Raises:
        MerError: two films would write one file, a film would be overwritten, or a folder cannot be written in.
    """
    if len(sources) > 1 and not all(varies(out) for out in outs):
        raise MerError(f"--out: the timelines of {len(sources)} films need a name each: {EXAMPLE}")
    found = [[_filled(out, source) for out in outs] for source in sources]
    films = {os.path.realpath(source.file) for source in sources}
    taken: dict[str, Source] = {}
    for source, paths in zip(sources, found, strict=True):
        for path in paths:
            place = os.path.realpath(path)
            if place in films:
                raise MerError(f"--out {path}: this is a film that is predicted")
            if place in taken:
                both = f"{taken[place].path} and {source.path}" if taken[place] != source else f"{source.path}, twice,"
                raise MerError(f"--out: {both} would write {path}; use {{folder}}, or {{file}} with its ending")
            taken[place] = source
    for folder in dict.fromkeys(path.parent for paths in found for path in paths):
        check_folder(folder)
    return found


def varies(out: Path) -> bool:
    """Whether a name differs from film to film."""
    return PART.search(str(out)) is not None


def notes_of(out: Path) -> Path:
    """Where it is noted which films are finished: in the folder before the first part that varies."""
    return Path(os.path.dirname(PART.split(str(out))[0])) / NOTES


def check_folder(folder: Path) -> None:
    """See that files can be written in a folder, before the work is done that would be lost.

    Raises:
        MerError: they cannot.
    """
    probe = folder / f".mer-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise MerError(f"--out: no file can be written in {folder}: {os.strerror(error.errno or 0)}") from None


def _filled(out: Path, source: Source) -> Path:
    folder, file = os.path.split(source.path)
    parts = {"folder": folder or ".", "name": os.path.splitext(file)[0], "file": file}
    return Path(PART.sub(lambda found: parts[found[1]], str(out)))
