"""Where the work runs changes no bit: one worker or several, any OMP setting, locally or on Ray.

`MER_RELIABILITY=large` tries four workers, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import HubertConfig, HubertModel

REPOSITORY = Path(__file__).parents[2]
LARGE = os.environ.get("MER_RELIABILITY") == "large"
WORK = """
import hashlib, sys
from contextlib import closing
from functools import partial
import numpy as np
from mer.compute import map_batches
from mer.encoders.speech.features import SpeechFeatures
from mer.extraction.features import EncoderWorker
from mer.params import AudioParams, ComputeParams

def same(item):
    return item

if __name__ == "__main__":
    folder, engine, workers = sys.argv[1:]
    draw = np.random.default_rng(0)
    sounds = [draw.normal(size=size).astype(np.float32) for size in (9000, 40000, 16000, 31000, 52345, 20000)]
    encoder = partial(SpeechFeatures, AudioParams(model=folder, layers=(-1, -2)))
    batches = [sounds[:2], sounds[2:3], sounds[3:]]
    rows = {}
    compute = ComputeParams(engine=engine, workers=int(workers))
    with closing(map_batches(EncoderWorker(encoder, same), batches, compute)) as done:
        for number, row in done:
            rows[number] = row["embedding"].tobytes()
    print(hashlib.sha256(b"".join(rows[number] for number in sorted(rows))).hexdigest())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for matrix products to be dealt out over threads."""
    folder = tmp_path_factory.mktemp("model")
    config = HubertConfig(hidden_size=384, num_hidden_layers=3, num_attention_heads=6, intermediate_size=1536)
    HubertModel(config).save_pretrained(folder)
    return folder


def digest(folder: Path, tmp_path: Path, engine: str, workers: int, **environment: str) -> str:
    script = tmp_path / "work.py"
    script.write_text(WORK)
    kept = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), engine, str(workers)],
        env={**kept, "PYTHONPATH": str(REPOSITORY), "MER_CACHE": str(tmp_path / "cache"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one worker gives, with as many threads as there are cores."""
    return digest(folder, tmp_path_factory.mktemp("alone"), "local", 1)


@pytest.mark.parametrize(
    ("workers", "threads"),
    [(1, 1), (2, 3), *([(2, None), (4, None)] if LARGE else [])],
)
def test_workers_and_threads_change_no_bit(
    folder: Path, alone: str, tmp_path: Path, workers: int, threads: int | None
) -> None:
    several = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": "2"}
    assert digest(folder, tmp_path, "local", workers, **several) == alone


def test_ray_changes_no_bit(folder: Path, alone: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert digest(folder, tmp_path, "ray", 2, OMP_NUM_THREADS="2") == alone
