"""Face crops in MERTools' form: BGR comes as RGB; a clip without a face is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer.errors import MerError
from mer.imports import ImportedError
from mer.imports.crops import open_crops


def write(folder: Path, clip: str, crops: np.ndarray, name: str | None = None) -> None:
    (folder / clip).mkdir(parents=True, exist_ok=True)
    np.save(folder / clip / f"{name or clip}.npy", crops)


def test_crops_come_in_rgb(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    write(tmp_path, "a", crops)
    write(tmp_path, "b", np.zeros((1, 112, 112, 3), np.uint8))
    write(tmp_path, "c", np.zeros((0, 112, 112, 3), np.uint8))
    source = open_crops(tmp_path)
    assert list(source.clip_ids) == ["a", "b", "c"]
    found = source.read("a")
    assert found is not None
    assert np.array_equal(found, crops[..., [2, 1, 0]])
    assert found.flags.c_contiguous
    assert source.read("b") is None
    assert source.read("c") is None
    assert len(set(source.digests(["a", "b", "c"]).values())) == 3
    assert "3 clips, face crops" in source.describe()


def test_what_is_no_crops_is_the_clips_fault(tmp_path: Path) -> None:
    write(tmp_path, "a", np.ones((3, 112, 112)))
    write(tmp_path, "b", np.ones((3, 112, 112, 3), np.uint8))
    (tmp_path / "b" / "b.npy").write_bytes((tmp_path / "b" / "b.npy").read_bytes()[:-5])
    source = open_crops(tmp_path)
    with pytest.raises(ImportedError, match=r"clip 'a': .*float64 \[3, 112, 112\], not uint8"):
        source.read("a")
    with pytest.raises(ImportedError, match=r"clip 'b': .*cut short"):
        source.read("b")


def test_a_folder_of_another_form_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a", np.ones((3, 112, 112, 3), np.uint8), name="frame_1")
    with pytest.raises(MerError, match=r"/a: expected a\.npy in it, with the clip's crops; found frame_1\.npy"):
        open_crops(tmp_path)
    with pytest.raises(MerError, match="no such folder"):
        open_crops(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MerError, match="no face crops in it"):
        open_crops(tmp_path / "empty")
