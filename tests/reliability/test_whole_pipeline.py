"""The whole pipeline on a dozen clips: decoded bytes exist once, and a clone goes on with what it pulls."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.encoders.test_face_vision import vit
from tests.reliability.tiny import CLIPS, DVC, call, commit, make_corpus, make_workspace, results

pytestmark = pytest.mark.skipif(
    os.environ.get("MER_RELIABILITY") != "large", reason="runs the pipeline several times: MER_RELIABILITY=large"
)


@dataclass(frozen=True)
class Finished:
    workspace: Path
    cache: Path


def write_noise(path: Path, number: int) -> None:
    """Pictures that no encoder makes small, as faces in a room are, and half a second of noise."""
    draw = np.random.default_rng(number)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=8, options={"qmin": "2", "qmax": "2"})
        picture.width, picture.height, picture.pix_fmt = 640, 480, "yuvj420p"
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(draw.integers(0, 256, (480, 640, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        wave = draw.integers(-9999, 9999, (1, 8000 + 160 * number), np.int16)
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("whole")
    corpus = make_corpus(folder / "corpus")
    for number, path in enumerate(sorted(corpus.glob("*.mp4"))):
        path.unlink()
        write_noise(path.with_suffix(".mkv"), number)
    workspace = make_workspace(folder / "mer", corpus, decode={"frames": 4})
    model, processor = vit()
    model.save_pretrained(workspace / "vit")
    processor.save_pretrained(workspace / "vit")
    commit(workspace)
    call(workspace, *DVC, "repro", cache=folder / "cache")
    return Finished(workspace, folder / "cache")


def size(folder: Path) -> int:
    """Bytes of the files below a folder; a file of several names counts once, a link not at all."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum({path.stat().st_ino: path.stat().st_size for path in files}.values())


def decoded_bytes(cache: Path) -> int:
    """Of the sound and frames of all clips."""
    total = 0
    for shard in (cache / "decode").glob("*.parquet"):
        for row in pq.read_table(shard, columns=["audio", "frames"]).to_pylist():
            total += len(row["audio"] or b"") + sum(map(len, row["frames"]))
    return total


def test_decoded_bytes_exist_once(finished: Finished) -> None:
    media = decoded_bytes(finished.cache)
    assert media > 100_000 * 4 * CLIPS
    places = [finished.cache, finished.workspace / "data", finished.workspace / ".dvc/cache"]
    held = sum(map(size, places))
    assert held <= 1.15 * media, {str(place): size(place) / media for place in places}


def test_a_clone_trains_on_what_it_pulls_and_decodes_only_for_another_encoder(
    finished: Finished, tmp_path: Path
) -> None:
    before, cache, clone = results(finished.workspace), tmp_path / "cache", tmp_path / "clone"
    call(finished.workspace, *DVC, "remote", "add", "--default", "--force", "store", tmp_path / "store")
    call(finished.workspace, *DVC, "push")
    commit(finished.workspace)
    call(tmp_path, "git", "clone", "--quiet", finished.workspace, clone)
    call(clone, sys.executable, "-m", "mer.links")
    call(clone, *DVC, "pull")
    assert {path: digest for path, digest in results(clone).items() if path.startswith("data/")} == {
        path: digest for path, digest in before.items() if path.startswith("data/")
    }
    said = call(clone, *DVC, "exp", "run", "-S", "self_train.rounds=0", cache=cache)
    assert "Running stage 'self_train'" in said
    assert not [name for name in ("ingest", "decode", "transcribe", "extract") if f"Running stage '{name}" in said]
    assert not list(cache.glob("decode/*.parquet"))
    said = call(clone, *DVC, "exp", "run", "-S", "views.face.encoder=vit", "extract@face", cache=cache)
    assert f"{CLIPS} clips are not in the cache: decoded again" in said
    assert "Running stage 'decode'" not in said
    assert "face: 12 clips" in said
