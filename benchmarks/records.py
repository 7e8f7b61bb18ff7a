"""What a change of a table costs, and what DVC takes when nothing changed.

    python -m benchmarks.records [--clips 1000] [--tracked 10000]

In a throw-away clone, on a folder of short WAV files: a fold more, a label, a group and a transcript corrected, and
which stages of the pipeline up to the features run again. Then `dvc repro` with nothing to do, against a pipeline of as
many stages that do nothing at all, both in the same run. `--tracked 130000` is the size of the challenge's corpora.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
DVC = [sys.executable, "-m", "dvc"]
FEATURES = ["split", "extract@face", "extract@text"]
"""Up to here: ingest, decode and transcribe come with them."""


def make_corpus(folder: Path, clips: int) -> None:
    """WAV files of 0.1 s that differ, and a table of their labels, groups and transcripts."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["clip_id,label,group,transcript"]
    for number in range(clips):
        with wave.open(str(folder / f"c{number:06d}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(rng.integers(-9999, 9999, 1600, dtype=np.int16).tobytes())
        lines.append(f"c{number:06d},{['happy', 'sad'][number % 2]},g{number % 20},words of clip {number}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Cost:
    """Of one `dvc repro`: seconds on the clock, seconds of CPU in all its processes, and the stages that ran."""

    wall: float
    cpu: float
    ran: list[str]

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.cpu:.1f} s of CPU); ran: {', '.join(self.ran) or 'nothing'}"


def repro(clone: Path, *options: str) -> Cost:
    environment = {**os.environ, "MER_CACHE": str(clone.parent / "cache"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    begin, before = time.perf_counter(), _cpu()
    done = subprocess.run(
        [*DVC, "repro", *options], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    ran = re.findall(r"Running stage '([^']+)'", done.stdout)
    return Cost(time.perf_counter() - begin, _cpu() - before, ran)


def _cpu() -> float:
    """Seconds of CPU that children of this process, and theirs, took until they ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def set_params(clone: Path, **sections: dict[str, object]) -> None:
    path = clone / "params.yaml"
    values = yaml.safe_load(path.read_text())
    for name, changes in sections.items():
        values[name] |= changes
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False))


def make_clone(folder: Path, corpus: Path) -> Path:
    clone = folder / "mer"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    set_params(clone, corpus={"root": str(corpus), "layout": "folder"}, decode={"frames": 0})
    return clone


def correct(corpus: Path, before: str, after: str) -> None:
    path = corpus / "labels.csv"
    path.write_text(path.read_text().replace(before, after, 1))


def changes(folder: Path, clips: int) -> None:
    corpus = folder / "corpus"
    make_corpus(corpus, clips)
    clone = make_clone(folder, corpus)
    print(f"{clips} clips, everything: {repro(clone, *FEATURES)}")
    print(f"nothing to do: {repro(clone, *FEATURES)}")
    set_params(clone, corpus={"folds": 4})
    print(f"corpus.folds=4: {repro(clone, *FEATURES)}")
    correct(corpus, "c000003,sad", "c000003,happy")
    print(f"one corrected label: {repro(clone, *FEATURES)}")
    correct(corpus, "g4,", "g5,")
    print(f"one corrected group: {repro(clone, *FEATURES)}")
    correct(corpus, "words of clip 7\n", "other words\n")
    print(f"one corrected transcript: {repro(clone, *FEATURES)}")


def nothing_to_do(folder: Path, tracked: int) -> None:
    """Ingest and no-op with so many clips, all hard links to one file, against stages without code or data."""
    corpus = folder / "corpus"
    make_corpus(corpus, 1)
    for number in range(1, tracked):
        os.link(corpus / "c000000.wav", corpus / f"c{number:06d}.wav")
    rows = "".join(f"c{number:06d},{['happy', 'sad'][number % 2]},,\n" for number in range(200))
    (corpus / "labels.csv").write_text("clip_id,label,group,transcript\n" + rows)
    clone = make_clone(folder, corpus)
    print(f"{tracked} clips, ingest: {repro(clone, 'ingest')}")
    print(f"{tracked} clips, up to the features: {repro(clone, *FEATURES)}")
    empty = folder / "empty"
    empty.mkdir()
    stages = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    ours = ["needed", "ingest", "split", "decode", "transcribe", "crop_faces", "link_views", "extract"]
    assert set(ours) <= set(stages)
    ours += ["extract_too"]  # of two views
    lines = "".join(f"  {name}:\n    cmd: echo {name} > {name}.txt\n    outs: [{name}.txt]\n" for name in ours)
    (empty / "dvc.yaml").write_text("stages:\n" + lines)
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"]):
        subprocess.run(command, cwd=empty, check=True)
    repro(empty)
    pairs = [(repro(clone, *FEATURES), repro(empty)) for _ in range(5)]
    for name, of in (("on the clock", lambda cost: cost.wall), ("of CPU", lambda cost: cost.cpu)):
        full, bare = (min(map(of, column)) for column in zip(*pairs, strict=True))
        print(f"nothing to do, {name}: {full:.2f} s, an empty pipeline of as many stages {bare:.2f} s: ", end="")
        print(f"{full / bare:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000, help="0 leaves the changes out")
    parser.add_argument("--tracked", type=int, default=10_000, help="0 leaves the run with nothing to do out")
    arguments = parser.parse_args()
    for measure, clips in ((changes, arguments.clips), (nothing_to_do, arguments.tracked)):
        if clips:
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder), clips)


if __name__ == "__main__":
    main()
