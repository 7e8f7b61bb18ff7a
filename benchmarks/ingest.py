"""How long ingest takes, and how much memory, for a corpus of 130,000 rows.

    python -m benchmarks.ingest [rows]

Two corpora of the `folder` layout: as many files, and as many segments in a hundredth of the files. Each is ingested in
a process of its own, with an empty cache and again; the target is 20 s and 2 GB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = 130_000
CODE = """
import resource, sys, time
sys.path.insert(0, sys.argv[2])
from mer.params import parse_params
from stages.ingest import ingest
began = time.monotonic()
ingest(parse_params({"corpus": {"root": sys.argv[1], "layout": "folder"}}))
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"wall {time.monotonic() - began:.1f} s, processor {used.ru_utime + used.ru_stime:.1f} s, "
      f"memory {used.ru_maxrss / 2**20:.2f} GB")
"""


def files(root: Path, rows: int) -> None:
    """As many small files as rows, a thousand a folder, with every column but times."""
    lines = ["path,label,group,transcript,fold"]
    for number in range(rows):
        path = f"part{number // 1000:03d}/clip{number:06d}.wav"
        if not number % 1000:
            (root / path).parent.mkdir()
        (root / path).write_bytes(b"RIFF" + number.to_bytes(4, "little"))
        lines.append(
            f"{path},{('joy', 'anger', 'fear')[number % 3]},s{number % 500},text of clip {number},{number % 5}"
        )
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def segments(root: Path, rows: int) -> None:
    """A hundred segments a file, with votes."""
    lines = ["path,start,end,group,soft_joy,soft_anger,soft_fear"]
    for number in range(rows):
        path, start = f"file{number // 100:05d}.wav", 3.0 * (number % 100)
        if not number % 100:
            (root / path).write_bytes(b"RIFF" + number.to_bytes(4, "little"))
        lines.append(f"{path},{start},{start + 2.5},s{number // 100},{number % 4},{number % 3},1")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    repository = str(Path(__file__).parents[1])
    for make in (files, segments):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "corpus")
            root.mkdir()
            make(root, rows)
            for cache in ("empty cache", "again"):
                command = [sys.executable, "-c", CODE, str(root), repository]
                environment = {**os.environ, "MER_CACHE": str(Path(folder, "cache"))}
                began = time.monotonic()
                done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
                said = done.stdout.strip().splitlines()[-1]
                print(f"{rows} {make.__name__}, {cache}: {said}; with its start {time.monotonic() - began:.1f} s")
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20:.2f} GB")


if __name__ == "__main__":
    main()
