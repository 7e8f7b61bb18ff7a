"""Real features of real corpora, where the shared data are: nothing is lost on the way in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mer.imports import match, open_source
from mer.layouts import read_corpus
from mer.params import CorpusParams

SHARED = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def folder(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the shared data {name} are not here")
    return SHARED / name


@pytest.mark.parametrize(("view", "width"), [("egemaps_UTT", 88), ("pyfeat-FRA", 30)])
def test_enjoyment_is_read_as_a_corpus_of_features(view: str, width: int) -> None:
    root = folder("enjoyment")
    params = CorpusParams(root=str(root), layout="mertools", columns={"group": "participant"}, target="enjoyment")
    corpus = read_corpus(params)
    rows = corpus.table.rows
    assert rows["label"].value_counts().to_dict() == {"middle": 229, "high": 197, "low": 164}
    assert rows["group"].nunique() == 25
    assert rows["target_enjoyment"].between(1, 5).all()
    source = open_source(root / "features", name=view)
    assert match(list(rows["clip_id"]), source.clip_ids, view) == []
    assert source.width() == width
    for clip_id, values in source.read_many(source.clip_ids):
        held = np.load(root / "features" / view / f"{clip_id}.npy")
        assert values is not None
        assert values.tobytes() == held.tobytes()
    assert source.notes() == []


@pytest.mark.parametrize(
    ("corpus", "view", "clips", "width"),
    [("mosi", "minilm", 2199, 384), ("mosi", "audio", 2199, 73), ("meld", "ngrams", 13708, 192)],
)
def test_parquet_views_are_read_row_by_row(corpus: str, view: str, clips: int, width: int) -> None:
    path = folder(corpus) / "utterances.parquet"
    source = open_source(path, name=view)
    assert (len(source.clip_ids), source.width()) == (clips, width)
    held = np.stack(pq.read_table(path, columns=[view])[view].to_numpy())
    read = {
        clip_id: np.zeros(width) if values is None else values for clip_id, values in source.read_many(source.clip_ids)
    }
    assert np.array_equal(np.stack([read[clip_id] for clip_id in source.clip_ids]), held)
