"""Reading an utterance table, against plain safetensors and one .npy a clip; and peak memory with ten times the clips.

python -m benchmarks.store [--rows 20000] [--width 1024] [--clips 1000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy

from mer.store.tables import read_utterances, write_utterances

PRINT_PEAK = """
status = open("/proc/self/status").read()  # ru_maxrss would count what the parent held at the fork
print(int(status.split("VmHWM:")[1].split()[0]) // 1024, "MiB")
"""
FILL_AND_READ = (
    """
import os, sys
from mer.media.record import CONTENT
from mer.params import ComputeParams
from mer.store.cache import ShardCache
from mer.store.fill import fill
from mer.store.keys import digest
from mer.store.location import cache_root

class Worker:
    '''A clip's worth of bytes: 80 kB of audio and eight frames of 20 kB.'''
    def setup(self):
        return lambda batch: [record(item) for item in batch]

def record(number):
    noise = os.urandom(1000)
    return dict(audio=noise * 80, frames=[noise * 20] * 8, timestamps=[float(n) for n in range(8)], duration=5.0,
                width=1280, height=720, audio_sha256=digest(number), frames_sha256=digest(number), notes=[])

count = int(sys.argv[1])
cache = ShardCache(cache_root(), "decode", CONTENT)
keys = [digest(number) for number in range(count)]
fill(cache, ((key, number) for number, key in enumerate(keys)), Worker(), ComputeParams(workers=1))
assert sum(len(row["audio"]) for row in cache.read(keys)) == 80_000 * count
"""
    + PRINT_PEAK
)


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Least wall seconds of some runs."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def compare_reading(folder: Path, rows: int, width: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    table, tensors, arrays = folder / "utterance.parquet", folder / "plain.safetensors", folder / "arrays"
    write_utterances(table, ((f"clip_{n:08d}", values[n], 1, True) for n in range(rows)), width)
    safetensors.numpy.save_file({"embeddings": values}, tensors)
    arrays.mkdir()
    for number, row in enumerate(values):
        np.save(arrays / f"{number:08d}.npy", row)

    def one_file_a_clip() -> object:
        return np.stack([np.load(path, allow_pickle=False) for path in sorted(arrays.iterdir())])

    ours = best(lambda: read_utterances(table).embeddings.sum())
    plain = best(lambda: safetensors.numpy.load_file(tensors)["embeddings"].sum())
    many = best(one_file_a_clip, repeats=2)
    assert np.array_equal(read_utterances(table).embeddings, values)
    print(f"read {rows} x {width}: utterance table {1000 * ours:.0f} ms, safetensors {1000 * plain:.0f} ms, ", end="")
    print(f".npy files {1000 * many:.0f} ms; table / safetensors = {ours / plain:.2f}")


def peak_memory(clips: int) -> float:
    """MiB of a process that computes, stores and reads back so many clips."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", FILL_AND_READ, str(clips)],
            check=True,
            env={**os.environ, "MER_CACHE": str(Path(folder) / "cache")},
            stdout=subprocess.PIPE,
            text=True,
        )
    return float(done.stdout.split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--clips", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_reading(Path(folder), arguments.rows, arguments.width)
    few, many = peak_memory(arguments.clips), peak_memory(10 * arguments.clips)
    print(f"peak memory: {arguments.clips} clips {few:.0f} MiB, ten times as many {many:.0f} MiB: {many / few:.3f}")


if __name__ == "__main__":
    main()
