"""A view of imported features: pooled, masked where the source lacks a clip, and every mismatch told in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mer.errors import MerError
from mer.extraction.imports import Imported, extract_import
from mer.extraction.per_clip import Place
from mer.params import ImportParams
from mer.store.manifest import read_manifest
from mer.store.quarantine import read_quarantine
from mer.store.tables import open_frames, read_utterances

CLIPS = ["a", "b", "c", "d"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data", pd.DataFrame({"clip_id": CLIPS, "path": CLIPS, "sha256": None}))


def folder(tmp_path: Path, values: dict[str, np.ndarray], name: str = "pyfeat-FRA") -> Path:
    (tmp_path / name).mkdir()
    for clip_id, of in values.items():
        np.save(tmp_path / name / f"{clip_id}.npy", of)
    return tmp_path / name


def extract(place: Place, source: Path, **params: object) -> Imported:
    view = ImportParams.model_validate({"modality": "face", "source": str(source), **params})
    return extract_import("pyfeat", view, place)


def frames(clips: list[str], width: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {clip_id: rng.normal(size=(4 + i, width)).astype(np.float32) for i, clip_id in enumerate(clips)}


def test_frames_become_their_mean_and_deviation(place: Place, tmp_path: Path) -> None:
    values = frames(CLIPS)
    extract(place, folder(tmp_path, values))
    found = read_utterances(place.data / "features/pyfeat/utterance.parquet")
    assert found.clip_ids == CLIPS
    for row, clip_id in enumerate(CLIPS):
        expected = np.concatenate([values[clip_id].mean(axis=0), values[clip_id].std(axis=0)])
        np.testing.assert_allclose(found.embeddings[row], expected, rtol=1e-5, atol=1e-6)
    assert found.frames.tolist() == [4, 5, 6, 7]


def test_frames_may_be_kept(place: Place, tmp_path: Path) -> None:
    values = frames(["a", "c"])
    extract(place, folder(tmp_path, values), frames=True, pooling="mean")
    found = open_frames(place.data / "features/pyfeat/frames.safetensors")
    assert [len(found[row]) for row in range(4)] == [4, 0, 5, 0]
    np.testing.assert_allclose(found[2], values["c"], atol=1e-3)


def test_what_the_source_lacks_or_has_zeros_for_is_masked_and_counted(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = frames(["a", "b", "x"]) | {"b": np.zeros((5, 3), np.float32)}
    extract(place, folder(tmp_path, values))
    found = read_utterances(place.data / "features/pyfeat/utterance.parquet")
    assert found.ok.tolist() == [True, False, False, False]
    said = capsys.readouterr().out
    assert "no features of 2 of 4 clips, the first is 'c'" in said
    assert "1 of 3 names are no clip of the corpus, the first is 'x'" in said
    assert "pyfeat: 4 clips: 1 imported, 3 absent" in said
    assert read_manifest(place.manifest("pyfeat")).keys["a"] is not None


def test_no_clip_in_common_names_the_view_and_says_how_the_names_differ(place: Place, tmp_path: Path) -> None:
    with pytest.raises(MerError, match=r"views\.pyfeat: none of its 4 clips is one of the corpus' 4: .*prefix 'val_'"):
        extract(place, folder(tmp_path, frames([f"val_{clip_id}" for clip_id in CLIPS])))


def test_clips_of_another_width_are_named_with_counts(place: Place, tmp_path: Path) -> None:
    values = frames(CLIPS) | frames(["c"], width=5)
    with pytest.raises(MerError, match=r"1 clips give 10 columns \(the first is 'c'\), where 3 clips give 6"):
        extract(place, folder(tmp_path, values))


def test_a_damaged_clip_is_in_the_quarantine_and_too_many_fail_the_stage(place: Place, tmp_path: Path) -> None:
    source = folder(tmp_path, frames(CLIPS))
    (source / "b.npy").write_bytes(b"no array")
    extract(place, source, max_failed=0.5)
    assert read_quarantine(place.data / "quarantine")["clip_id"].tolist() == ["b"]
    with pytest.raises(MerError, match=r"views\.pyfeat\.max_failed: 1 of 4 clips failed \(clip 'b': "):
        extract(place, source)


def test_what_was_extracted_here_comes_back_as_it_was(place: Place, tmp_path: Path) -> None:
    extract(place, folder(tmp_path, frames(CLIPS)))
    table = place.data / "features/pyfeat/utterance.parquet"
    before = read_utterances(table)
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(table.read_bytes())
    extract(place, copy)
    after = read_utterances(table)
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    assert after.ok.tolist() == before.ok.tolist()


def test_frames_of_a_source_of_vectors_are_refused(place: Place, tmp_path: Path) -> None:
    values = {clip_id: np.ones(3, np.float32) + i for i, clip_id in enumerate(CLIPS)}
    with pytest.raises(MerError, match=r"views\.pyfeat\.frames: the source has a vector a clip, no frames"):
        extract(place, folder(tmp_path, values, "egemaps_UTT"), frames=True)
