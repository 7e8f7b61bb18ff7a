"""The Ray engine gives what the local one gives, also when its workers die."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mer.compute import map_batches
from mer.errors import ClipError, MerError
from mer.extraction.decode import decode_corpus
from mer.extraction.sources import file_digests
from mer.params import ComputeParams, DecodeParams
from tests.compute.workers import Squares
from tests.media.making import write_clip

pytest.importorskip("ray", reason="the ray extra is not installed")

ROOT = Path(__file__).parents[2]
ON_RAY = ComputeParams(engine="ray", workers=2)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # Ray's workers must find the workers of these tests
    monkeypatch.syspath_prepend(ROOT)


def test_the_items_of_a_ray_worker_that_dies_are_done_by_others(tmp_path: Path) -> None:
    worker = Squares(str(tmp_path), deadly=4, always_deadly=6)
    results = dict(map_batches(worker, [[0, 1, 2], [3], [4, 5], [6], [7, 8, 9]], ON_RAY))
    assert (tmp_path / "died").exists()
    assert isinstance(results.pop(6), ClipError)
    assert results == {number: number * number for number in range(10) if number != 6}


def test_decoding_on_ray_gives_the_bytes_of_local_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    paths = [write_clip(root / f"{number}.mp4", seconds=0.2 + 0.1 * number).name for number in range(3)]
    table = pd.DataFrame({"clip_id": paths, "path": paths, "sha256": list(file_digests(root, paths))})
    rows = {}
    for name, compute in (("ray", ON_RAY), ("local", ComputeParams(workers=1))):
        monkeypatch.setenv("MER_CACHE", str(tmp_path / f"cache-{name}"))
        out = tmp_path / name
        done = decode_corpus(table, root, DecodeParams(), compute, out)
        assert done.computed == 3
        rows[name] = repr(list(done.rows()))
    assert rows["ray"] == rows["local"]
    for path in (tmp_path / "local").rglob("*.parquet"):
        assert (tmp_path / "ray" / path.relative_to(tmp_path / "local")).read_bytes() == path.read_bytes()


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = ComputeParams(engine="ray", address="127.0.0.1:1")
    with pytest.raises(MerError, match=r"compute\.address: .*127\.0\.0\.1:1"):
        list(map_batches(Squares(str(tmp_path)), [[1]], nowhere))
