"""In a split-screen dialogue the face of the one who speaks is taken."""

from __future__ import annotations

import numpy as np
import pytest

from mer.encoders.face.haar import HaarDetector
from mer.extraction import decode
from mer.extraction.decode import decode_corpus
from mer.extraction.media import Media
from mer.extraction.per_clip import Place
from mer.extraction.sources import file_digests
from mer.layouts import read_corpus
from mer.params import ComputeParams, CorpusParams, DecodeParams
from mer.store.manifest import read_manifest
from tests.layouts.dialogues import Turn, write_session

TURNS = 50
"""In each of two dialogues."""


def speaking(seed: int) -> list[Turn]:
    """Turns of half a second, by whom the draw says."""
    who = np.random.default_rng(seed).choice(["F", "M"], TURNS)
    return [Turn(str(one), 0.3 + 0.5 * n, 0.8 + 0.5 * n, ("neu", "hap")[n % 2]) for n, one in enumerate(who)]


def clips_of(root):
    rows = read_corpus(CorpusParams(root=str(root), layout="iemocap")).table.rows
    digests = {name: list(file_digests(root, list(rows[name]))) for name in ("path", "sound")}
    return rows.assign(sha256=digests["path"], sound_sha256=digests["sound"])


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    write_session(tmp_path / "corpus", 1, speaking(1), left="F")
    write_session(tmp_path / "corpus", 2, speaking(2), left="M")
    return tmp_path / "corpus"


def test_the_face_of_who_speaks_is_taken_in_every_turn(root, tmp_path, monkeypatch):
    rows, params, compute = clips_of(root), DecodeParams(frames=1), ComputeParams(workers=1)
    calls = []
    real = decode.Sandbox.decode_parts
    monkeypatch.setattr(decode.Sandbox, "decode_parts", lambda *a: calls.append(len(a[2])) or real(*a))
    done = decode_corpus(rows, root, params, compute, tmp_path)
    assert (done.computed, len(done.failed), calls) == (2 * TURNS, 0, [TURNS, TURNS])  # each file once
    media = Media(read_manifest(tmp_path / "manifests/decode.parquet"), Place(tmp_path, rows), root, params, compute)
    detector, right = HaarDetector(), 0
    for record in media.records(list(rows["clip_id"]), ["frames", "width", "height", "audio"]):
        (image,) = record.images()
        assert image.shape == (480, 360, 3)
        found = detector.detect(image, 0.2)
        assert len(found) == 1, record.clip_id
        x0, y0, x1, y1 = found[0].box.astype(int)
        red, _, blue = image[y0:y1, x0:x1].reshape(-1, 3).mean(axis=0)
        right += ("F" if red > blue else "M") == record.clip_id.rpartition("_")[2][0]
        assert len(record.waveform()) == 8_000
    assert right == 2 * TURNS == 100


def test_a_changed_time_costs_its_clip_and_no_other(root, tmp_path):
    rows, params, compute = clips_of(root), DecodeParams(frames=1), ComputeParams(workers=1)
    decode_corpus(rows, root, params, compute, tmp_path)
    moved = rows.assign(end=rows["end"] - np.where(rows.index == 7, 0.1, 0.0))
    done = decode_corpus(moved, root, params, compute, tmp_path)
    assert (done.computed, done.cached) == (1, 2 * TURNS - 1)
    whole = rows.assign(start=None, end=None, crop=None, sound=None)
    plain = decode.located(rows[["clip_id", "path", "sha256"]], root).digests
    assert decode.located(whole, root).digests == plain == dict(zip(rows["clip_id"], rows["sha256"], strict=True))
