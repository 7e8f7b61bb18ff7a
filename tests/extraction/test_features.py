"""Features of a corpus: filled through the cache, written in the clip table's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mer.encoders.base import Features, absent
from mer.extraction.features import EncoderWorker, View, write_features
from mer.extraction.per_clip import Content, Done, Place
from mer.params import ComputeParams, TextParams
from mer.store.quarantine import read_quarantine
from mer.store.tables import open_frames, read_utterances


@dataclass(frozen=True)
class LetterCounter:
    """Encodes a text as its numbers of a, b and c among the first ten letters; a text without letters is absent."""

    version: int = 1
    dimensions: int = 3

    @property
    def fingerprint(self) -> str:
        return f"letters-{self.version}"

    def encode(self, batch: Sequence[str]) -> list[Features]:
        return [self.one(text) for text in batch]

    def one(self, text: str) -> Features:
        if not text:
            return absent(3, "empty")
        values = np.array([[letter == of for of in "abc"] for letter in text[:10]], np.float16)
        note = "only the first 10 letters" if len(text) > 10 else ""
        return Features(values.sum(0, dtype=np.float32), frames=len(values), ok=True, values=values, note=note)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))


Extract = Callable[..., Done]


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    def run(texts: dict[str, str | None], *, version: int = 1, loaded: list[str] | None = None) -> Done:
        def load(clip_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
            for clip_id in clip_ids:
                if loaded is not None:
                    loaded.append(clip_id)
                yield clip_id, texts[clip_id] or ""

        encoder = LetterCounter(version)
        return write_features(
            View("letters", TextParams(frames=True, max_failed=1.0), encoder),
            Content(dict(texts), load),
            EncoderWorker(lambda: encoder, str),
            ComputeParams(workers=1),
            Place(tmp_path, pd.DataFrame({"clip_id": list(texts), "path": list(texts), "sha256": None})),
            batch_size=2,
        )

    return run


def test_rows_follow_the_clip_table_and_clips_without_content_are_absent(extract: Extract, tmp_path: Path) -> None:
    extract({"z": "aab", "none": None, "a": "c"})
    table = read_utterances(tmp_path / "features/letters/utterance.parquet")
    assert table.clip_ids == ["z", "none", "a"]
    assert table.ok.tolist() == [True, False, True]
    assert table.frames.tolist() == [3, 0, 1]
    np.testing.assert_array_equal(table.embeddings, [[2, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_frame_tensors_have_the_utterance_tables_rows(extract: Extract, tmp_path: Path) -> None:
    extract({"z": "ab", "none": None, "a": "c"})
    frames = open_frames(tmp_path / "features/letters/frames.safetensors")
    assert [frames[row].tolist() for row in range(3)] == [[[1, 0, 0], [0, 1, 0]], [], [[0, 0, 1]]]


def test_one_new_clip_costs_one_clip(extract: Extract) -> None:
    extract({"x": "a", "y": "b"})
    loaded: list[str] = []
    report = extract({"x": "a", "new": "c", "y": "b"}, loaded=loaded)
    assert (report.computed, report.cached, loaded) == (1, 2, ["new"])


def test_the_same_content_under_two_ids_is_encoded_once(extract: Extract, tmp_path: Path) -> None:
    report = extract({"x": "ab", "copy": "ab"})
    assert report.computed == 1
    assert read_utterances(tmp_path / "features/letters/utterance.parquet").embeddings.tolist() == [
        [1, 1, 0],
        [1, 1, 0],
    ]


def test_going_back_to_an_earlier_encoder_costs_nothing_and_gives_the_same_bytes(
    extract: Extract, tmp_path: Path
) -> None:
    extract({"x": "a", "y": "b"})
    before = (tmp_path / "features/letters/utterance.parquet").read_bytes()
    assert extract({"x": "a", "y": "b"}, version=2).computed == 2
    assert extract({"x": "a", "y": "b"}).computed == 0
    assert (tmp_path / "features/letters/utterance.parquet").read_bytes() == before


def test_content_that_was_cut_is_counted_and_noted_on_every_run(
    extract: Extract, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"long": "ab" * 8, "short": "ab", "copy": "ab" * 8, "empty": "", "none": None}
    for took in ("3 computed, 0 from the cache", "0 computed, 3 from the cache"):
        extract(texts)
        told = capsys.readouterr().out
        assert f"letters: 5 clips: {took}; 1 without content; 2 partial (2 shortened)" in told
        assert "letters: masked in 1 clips (1 empty)" in told
        table = read_quarantine(tmp_path / "quarantine")
        assert table[["clip_id", "kind", "error", "message"]].to_numpy().tolist() == [
            [name, "partial", "shortened", "only the first 10 letters"] for name in ("long", "copy")
        ]
