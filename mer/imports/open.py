"""Which reader a path asks for: by what it is and by its ending."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mer.errors import MerError
from mer.imports.base import FeatureSource, Source
from mer.imports.folders import KIND, FolderSource
from mer.imports.mmsa import open_mmsa
from mer.imports.tables import open_csv, open_npz, open_parquet, open_safetensors

READERS: dict[str, Callable[[Path, str | None], Source]] = {
    ".parquet": open_parquet,
    ".npz": open_npz,
    ".safetensors": open_safetensors,
    ".csv": open_csv,
    ".pkl": open_mmsa,
    ".pickle": open_mmsa,
    ".pt": open_mmsa,
}
UTTERANCES = "utterance.parquet"
"""What our own folders of features hold: see `mer.store.tables`."""


def open_source(path: Path, *, name: str | None = None) -> FeatureSource:
    """Features that others extracted.

    Args:
        path: a folder with a file a clip (MERTools), a file of MMSA's, a table; or a folder with several of them.
        name: which features, where there are several: a column, an array's key, a folder.

    Raises:
        MerError: nothing is there, or nothing that could be read; the line says what was found.
    """
    if not os.path.lexists(path):
        raise MerError(f"{path}: no such file or folder")
    if path.is_dir():
        return _open_folder(path, name)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise MerError(f"{path}: no form that is read: a folder, or a file in {', '.join(READERS)}")
    return reader(path, name)


def _open_folder(path: Path, name: str | None) -> Source:
    if (path / UTTERANCES).is_file():
        return open_parquet(path / UTTERANCES, name)
    if name is not None and (path / name).is_dir():
        return FolderSource(path / name)
    views = sorted(entry.name for entry in os.scandir(path) if KIND.search(entry.name) and entry.is_dir())
    if name is not None:
        alike = [view for view in views if KIND.sub("", view) == name]
        if len(alike) == 1:
            return FolderSource(path / alike[0])
        raise MerError(f"{path}: no features '{name}' in it (found: {', '.join(alike or views) or 'no such folders'})")
    if views:
        raise MerError(f"{path}: which features? Found: {', '.join(views)}")
    return FolderSource(path)
