"""A folder with a file a clip: MERTools' `features/<name>-UTT` and `-FRA`, and its kin.

<clip>.npy      [D], [T, D] or with axes of one around them; float16, 32, 64 or integers
<clip>/         a `.npy` a frame, in natural order (MERTools' visual encoders before they are squeezed)
<clip>.csv      a row a frame, or a single one; columns of time and the like are no features (OpenFace, openSMILE)
<clip>.npz      `values` [T, D] and, where known, `times` [T]
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.base import KINDS, ImportedError, Source, name_of, squeezed
from mer.imports.npy import Archive, opened, read_npy
from mer.imports.rows import read_numbers
from mer.odd_files import fault_of, is_file, is_folder
from mer.running.foreign import normalise
from mer.store.keys import FileDigests, digest

SUFFIXES = (".npy", ".csv", ".npz")
KIND = re.compile(r"[-_](UTT|FRA)$", re.IGNORECASE)
REVISION = 1
"""Raise it when the same files give other values than before."""
VALUES = ("values", "features", "feature", "embedding")
TIMES = ("times", "timestamps", "time", "timestamp")


class FolderSource(Source):
    """Features in a folder, a file (or a folder of frames) a clip."""

    def __init__(self, path: Path) -> None:
        """List the folder.

        Raises:
            MerError: it holds no features, two files are of one clip, a link leads out of it, or a name is no UTF-8.
        """
        kind = KIND.search(path.name)
        self.frames = None if kind is None else kind[1].upper() == "FRA"
        self.files, self._folders, self.others = _files(path)
        super().__init__(path, list(self.files), str(path))

    def array(self, clip_id: str) -> NDArray[Any]:
        file = Path(self.files[clip_id])
        try:
            values = self._folder(clip_id, file) if clip_id in self._folders else self._file(file)
        except ImportedError:
            raise
        except MerError as error:
            raise ImportedError(f"clip '{clip_id}': {error}") from None
        return values.reshape(squeezed(values.shape, frames=self.frames))

    def widths(self) -> Iterator[tuple[str, int]]:
        for clip_id, name in self.files.items():
            file = first = Path(name)
            if clip_id in self._folders:
                first = next(iter(_frames(file)), file)
            if first.suffix.lower() == ".npy":
                try:
                    with opened(first) as (_, header):
                        if header.dtype.kind not in KINDS:
                            raise MerError(f"{first}: holds {name_of(header.dtype)}, not numbers")
                        shape = squeezed(header.shape, frames=self.frames)
                except MerError as error:
                    raise ImportedError(f"clip '{clip_id}': {error}") from None
                yield clip_id, shape[-1]
            elif clip_id not in self._folders:
                yield clip_id, self.array(clip_id).shape[-1]

    @property
    def first(self) -> Path | None:
        """An array of one of the clips."""
        clip_id, file = next(iter(self.files.items()))
        return next(iter(_frames(Path(file))), None) if clip_id in self._folders else Path(file)

    def digest(self, clip_id: str) -> str:
        """Of the files' bytes, which are hashed once and remembered."""
        self._known(clip_id)
        file = Path(self.files[clip_id])
        with FileDigests() as digests:
            found = [digests.of(one) for one in (_frames(file) if clip_id in self._folders else [file])]
        return digest(
            "folder", REVISION, self.frames, "frames" if clip_id in self._folders else file.suffix.lower(), found
        )

    def describe(self) -> str:
        kinds = {True: "frames", False: "utterance vectors", None: "vectors or frames"}
        line = f"{self.path}: {len(self.files)} clips, {kinds[self.frames]}, a file a clip"
        return line + (f"; {self.others} other files passed over" if self.others else "")

    def _file(self, file: Path) -> NDArray[Any]:
        if file.suffix.lower() == ".csv":
            return read_numbers(file)
        if file.suffix.lower() == ".npz":
            return _timed(Archive(file))
        return read_npy(file)

    def _folder(self, clip_id: str, folder: Path) -> NDArray[Any]:
        """Float [T, D] of frames that lie in files of their own."""
        frames = []
        for file in _frames(folder):
            values = read_npy(file)
            frames.append(values.reshape(squeezed(values.shape, frames=False)))
            if frames[-1].ndim != 1 or len(frames[-1]) != len(frames[0]):
                raise ImportedError(
                    f"clip '{clip_id}': {file} has shape {list(values.shape)}, the frames before it "
                    f"{list(frames[0].shape)}"
                )
        return np.stack(frames) if frames else np.zeros((0, 1), np.float32)


def _timed(archive: Archive) -> NDArray[Any]:
    values = [name for name in VALUES if name in archive.headers] or list(archive.headers)[:1]
    if not values:
        raise MerError(f"{archive.path}: no arrays in it")
    times = [name for name in TIMES if name in archive.headers and name not in values]
    spare = [name for name in archive.headers if name not in (values[0], *times)]
    if spare:
        raise MerError(f"{archive.path}: '{values[0]}' or '{spare[0]}'? Features are to be called 'values'")
    array = archive.read(values[0])
    for name in times:
        if (count := len(archive.read(name))) != len(array):
            raise MerError(f"{archive.path}: {len(array)} frames in '{values[0]}', {count} in '{name}'")
    return array


def _files(folder: Path) -> tuple[dict[str, str], set[str], int]:
    """The file or folder of each clip, sorted by name; which are folders; and how many other files there are."""
    found: dict[str, str] = {}
    folders: set[str] = set()
    others = 0
    for entry in entries(folder, Path(os.path.realpath(folder))):
        stem, ending = os.path.splitext(entry.name)
        if is_folder(entry):
            name = normalise(entry.name)
            folders.add(name)
        elif ending.lower() in SUFFIXES and is_file(entry):
            name = normalise(stem)
        else:
            others += 1
            continue
        if (first := found.setdefault(name, entry.path)) != entry.path:
            raise MerError(f"{first} and {entry.path} would both be clip '{name}': keep one of them")
    if not found:
        raise MerError(f"{folder}: no features in it ({', '.join(SUFFIXES)}, or folders of frames){_seen(others)}")
    return dict(sorted(found.items())), folders, others


def clip_names(folder: Path) -> list[str]:
    """Names of the clips that a folder has features of, sorted.

    Raises:
        MerError: see `FolderSource`.
    """
    return list(_files(folder)[0])


def _seen(others: int) -> str:
    return f"; {others} other files" if others else ""


def _frames(folder: Path) -> Iterable[Path]:
    """The frames of a clip in natural order: frame_2 before frame_10."""
    files = []
    for entry in entries(folder, Path(os.path.realpath(folder.parent))):
        if is_folder(entry):
            raise MerError(f"{entry.path}: a folder where the frames of a clip are expected")
        if entry.name.endswith(".npy"):
            files.append(Path(entry.path))
    return sorted(files, key=lambda file: natural(file.name))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts the numbers in names by their value."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def entries(folder: Path, top: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder and is not hidden.

    Raises:
        MerError: it cannot be listed, a name is no UTF-8, or a link leads out of `top`, or nowhere.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise MerError(f"{folder}: {error.strerror or error}") from None
    for entry in entries:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            raise MerError(f"{entry.path!a}: the file name is not valid UTF-8; rename the file") from None
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(top):
            raise MerError(f"{entry.path}: a link that leads out of {top}; put the file itself there")
        if not is_file(entry) and not is_folder(entry) and (fault := fault_of(entry.path)) is not None:
            raise MerError(fault)
        yield entry
