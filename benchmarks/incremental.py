"""What a second run costs: nothing new, one clip in a hundred new, and `dvc repro` with nothing to do.

    python -m benchmarks.incremental [--clips 1000] [--tracked 10000] [--workers 1]

The clips are copies of a 5 s 720p clip that differ in their last bytes, so each is hashed and decoded on its own.
Every step runs in a process of its own, as a stage does; times are wall times of the whole process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.decode import make_clip
from benchmarks.store import PRINT_PEAK
from mer.clips import write_clips
from mer.extraction.sources import file_digests

STAGE = (
    """
import sys
from pathlib import Path
from mer.clips import read_clips
from mer.extraction.decode import decode_corpus
from mer.params import ComputeParams, DecodeParams

table, root, out, workers = sys.argv[1:]
decode_corpus(read_clips(table), Path(root), DecodeParams(), ComputeParams(workers=int(workers)), Path(out))
"""
    + PRINT_PEAK
)


def grow(root: Path, original: bytes, count: int) -> None:
    """Copies of the clip up to `count` of them; bytes after the last box are read by no player."""
    root.mkdir(exist_ok=True)
    for number in range(count):
        path = root / f"{number:06d}.mp4"
        if not path.exists():
            path.write_bytes(original + b"\x00\x00\x00\x10free" + number.to_bytes(8, "big"))
            os.utime(path, (1_700_000_000, 1_700_000_000))


def table(path: Path, count: int) -> Path:
    ids = [f"{number:06d}" for number in range(count)]
    paths = [f"{name}.mp4" for name in ids]
    digests = list(file_digests(path.parent / "corpus", paths))
    write_clips(path, pd.DataFrame({"clip_id": ids, "path": paths, "sha256": digests}))
    return path


def stage(folder: Path, count: int, workers: int) -> tuple[float, str]:
    """Wall seconds of the decode stage over the first `count` clips, and its report."""
    command = [sys.executable, "-c", STAGE, str(table(folder / "clips.parquet", count)), str(folder / "corpus")]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, str(folder / "out"), str(workers)],
        check=True,
        env={**os.environ, "MER_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        text=True,
    )
    return time.perf_counter() - begin, done.stdout.strip()


def decode_again(folder: Path, clips: int, workers: int) -> None:
    new = max(1, clips // 100)
    original = make_clip(folder / "original.mp4", keyframe_every=250).read_bytes()
    grow(folder / "corpus", original, clips + new)
    full, report = stage(folder, clips, workers)
    print(f"decode {clips} clips               {full:7.2f} s   {report}")
    nothing, report = stage(folder, clips, workers)
    print(f"again, nothing new               {nothing:7.2f} s   {report}   {nothing / full:.1%} of the full decode")
    some, report = stage(folder, clips + new, workers)
    print(f"again, {new} new clips              {some:7.2f} s   {report}   {some / full:.1%} of the full decode")


def dvc_with_nothing_to_do(folder: Path, tracked: int) -> None:
    """A stage that depends on a folder of `tracked` files: what `dvc repro` takes to see that none has changed."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number in range(tracked):
        (corpus / f"{number:06d}.mp4").write_bytes(number.to_bytes(8, "big"))
    (folder / "dvc.yaml").write_text(
        "stages:\n  ingest:\n    cmd: ls corpus > clips.txt\n    deps: [corpus]\n    outs: [clips.txt]\n"
    )
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "repro", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    best = min(_timed([*dvc, "repro", "-q"], folder) for _ in range(3))
    print(f"dvc repro, {tracked} clips tracked, nothing to do   {best:.2f} s")


def _timed(command: list[str], folder: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--tracked", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        decode_again(Path(folder), arguments.clips, arguments.workers)
    with tempfile.TemporaryDirectory() as folder:
        dvc_with_nothing_to_do(Path(folder) / "repository", arguments.tracked)


if __name__ == "__main__":
    main()
