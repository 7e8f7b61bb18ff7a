"""Face crops that others made: MERTools' `openface_face/<clip>/<clip>.npy`, uint8 [T, 112, 112, 3] in BGR.

crops = open_crops(Path("openface_face"))
crops.read("sample_00000012")     # uint8 [T, 112, 112, 3] in RGB, what `mer.encoders.face` takes; None: no face
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.base import ImportedError
from mer.imports.folders import entries
from mer.imports.npy import map_npy, opened
from mer.odd_files import is_folder
from mer.running.foreign import normalise
from mer.store.keys import FileDigests, digest

REVISION = 1
"""Raise it when the same file gives other crops than before."""


class CropSource:
    """Face crops by clip id; a clip's are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """List the folder.

        Raises:
            MerError: a clip's folder holds something else than its crops, or no folder does.
        """
        self.path = path
        self.files: dict[str, Path] = {}
        top = Path(os.path.realpath(path))
        for entry in entries(path, top):
            if not is_folder(entry):
                continue
            arrays = [Path(one.path) for one in entries(Path(entry.path), top) if one.name.endswith(".npy")]
            name = normalise(entry.name)
            if [normalise(array.stem) for array in arrays] != [name]:
                found = ", ".join(array.name for array in arrays[:3]) or "no .npy"
                raise MerError(f"{entry.path}: expected {name}.npy in it, with the clip's crops; found {found}")
            self.files[name] = arrays[0]
        if not self.files:
            raise MerError(f"{path}: no face crops in it (<clip>/<clip>.npy)")

    @property
    def clip_ids(self) -> Sequence[str]:
        return list(self.files)

    def read(self, clip_id: str) -> NDArray[np.uint8] | None:
        """Uint8 [T, height, width, 3] in RGB; None where there are none, or none but black ones.

        Raises:
            ImportedError: the clip is unknown, or its file is damaged or no pictures.
        """
        if clip_id not in self.files:
            raise ImportedError(f"{self.path}: no clip '{clip_id}'")
        try:
            values = map_npy(self.files[clip_id])
        except MerError as error:
            raise ImportedError(f"clip '{clip_id}': {error}") from None
        if values.dtype != np.uint8 or values.ndim != 4 or values.shape[-1] != 3:
            raise ImportedError(
                f"clip '{clip_id}': {self.files[clip_id]}: {values.dtype} {list(values.shape)}, not uint8 [T, H, W, 3]"
            )
        return np.ascontiguousarray(values[..., ::-1]) if values.any() else None

    def digests(self, clip_ids: Sequence[str]) -> dict[str, str]:
        """Hex digest of each clip's crops, by its file's bytes; hashed once and remembered."""
        with FileDigests() as known:
            return {clip_id: digest("crops", REVISION, known.of(self.files[clip_id])) for clip_id in clip_ids}

    def describe(self) -> str:
        return f"{self.path}: {len(self.files)} clips, face crops"


def open_crops(path: Path) -> CropSource:
    """Face crops in MERTools' form; see the module."""
    if not path.is_dir():
        raise MerError(f"{path}: no such folder")
    return CropSource(path)


def are_crops(file: Path) -> bool:
    """Whether an array has the shape of face crops, which are pictures and no features."""
    try:
        with opened(file) as (_, header):
            return header.dtype == np.uint8 and len(header.shape) == 4 and header.shape[-1] == 3
    except MerError:
        return False
