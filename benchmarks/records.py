"""What a change of a table costs, and what DVC takes when nothing changed.

    python -m benchmarks.records [--clips 1000] [--tracked 10000]

In a throw-away clone, on a folder of short WAV files: a fold more, a label, a group and a transcript corrected, which
stages up to the features run again, and how long it takes until training starts. Then `dvc repro` with nothing to do,
against the same pipeline on a hundred clips and against as many stages that do nothing at all, all in the same run.
`--tracked 130000` is the size of the challenge's corpora; `--up-to split` then stops before decoding.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
DVC = [sys.executable, "-m", "dvc"]
TRAINING = ("pretrain", "rank_views", "self_train")
"""Before the first of them, tables and features are there."""
LEAST_TRAINING: dict[str, dict[str, object]] = {"pretrain": {"epochs": 0}, "self_train": {"rounds": 0}}
FEW = 100
MOST_LINKS = 50_000
"""To one file, below what file systems allow."""


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
    """Of one `dvc repro`: seconds until training starts (or to the end), in all, and of CPU; the stages that ran."""

    until: float
    wall: float
    cpu: float
    ran: list[str]

    def __str__(self) -> str:
        before = list(takewhile(lambda name: name not in TRAINING, self.ran))
        return (
            f"{self.until:.1f} s until training starts, {self.wall:.1f} s in all ({self.cpu:.1f} s of CPU); "
            f"ran before: {', '.join(before) or 'nothing'}"
        )


def repro(clone: Path, *targets: str) -> Cost:
    environment = {**os.environ, "MER_CACHE": str(clone.parent / "cache"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    begin, before = time.perf_counter(), _cpu()
    until, lines, ran = None, [], []
    command = [*DVC, "repro", *targets]
    with subprocess.Popen(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line)
            if started := re.match(r"Running stage '([^']+)'", line):
                ran.append(started[1])
                if until is None and started[1] in TRAINING:
                    until = time.perf_counter() - begin
    if running.returncode:
        sys.exit("".join(lines))
    wall = time.perf_counter() - begin
    return Cost(until or wall, wall, _cpu() - before, ran)


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
    set_params(clone, corpus={"root": str(corpus), "layout": "folder"}, decode={"frames": 0}, **LEAST_TRAINING)
    return clone


def correct(corpus: Path, before: str, after: str) -> None:
    path = corpus / "labels.csv"
    path.write_text(path.read_text().replace(before, after, 1))


def changes(folder: Path, clips: int) -> None:
    corpus = folder / "corpus"
    make_corpus(corpus, clips)
    clone = make_clone(folder, corpus)
    print(f"{clips} clips, everything: {repro(clone)}")
    print(f"nothing to do: {repro(clone)}")
    set_params(clone, corpus={"folds": 4})
    print(f"corpus.folds=4: {repro(clone)}")
    correct(corpus, "c000003,sad", "c000003,happy")
    print(f"one corrected label: {repro(clone)}")
    correct(corpus, "g4,", "g5,")
    print(f"one corrected group: {repro(clone)}")
    correct(corpus, "words of clip 7\n", "other words\n")
    print(f"one corrected transcript: {repro(clone)}")


def link_corpus(corpus: Path, clips: int) -> None:
    """So many clips, all hard links to a few files of the same bytes; a fiftieth of them has a label, at least 50."""
    make_corpus(corpus, 1)
    for number in range(1, clips):
        first = number - number % MOST_LINKS
        place = corpus / f"c{number:06d}.wav"
        if number == first:
            shutil.copyfile(corpus / "c000000.wav", place)
        else:
            os.link(corpus / f"c{first:06d}.wav", place)
    labeled = range(max(50, clips // 50))
    rows = "".join(f"c{number:06d},{['happy', 'sad'][number % 2]},,words {number}\n" for number in labeled)
    (corpus / "labels.csv").write_text("clip_id,label,group,transcript\n" + rows)


def make_empty(folder: Path, stages: int) -> Path:
    """A pipeline of as many stages, without code or data."""
    folder.mkdir()
    lines = "".join(f"  s{n}:\n    cmd: echo {n} > {n}.txt\n    outs: [{n}.txt]\n" for n in range(stages))
    (folder / "dvc.yaml").write_text("stages:\n" + lines)
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def nothing_to_do(folder: Path, tracked: int, targets: Sequence[str]) -> None:
    """No-op with so many clips, with few, and of stages without code or data."""
    clones = {}
    for clips in (tracked, FEW):
        place = folder / str(clips)
        place.mkdir(parents=True)
        link_corpus(place / "corpus", clips)
        clones[clips] = make_clone(place, place / "corpus")
        first = repro(clones[clips], *targets)
        print(f"{clips} clips, everything: {first}")
    empty = make_empty(folder / "empty", len(first.ran))
    repro(empty)
    rounds = [(repro(clones[tracked], *targets), repro(clones[FEW], *targets), repro(empty)) for _ in range(5)]
    for name, of in (("on the clock", lambda cost: cost.wall), ("of CPU", lambda cost: cost.cpu)):
        many, few, bare = (min(map(of, column)) for column in zip(*rounds, strict=True))
        print(
            f"nothing to do, {name}: {tracked} clips {many:.2f} s, {FEW} clips {few:.2f} s ({many / few:.2f} times), "
        )
        print(f"    {len(first.ran)} stages that do nothing {bare:.2f} s ({many / bare:.2f} times)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000, help="0 leaves the changes out")
    parser.add_argument("--tracked", type=int, default=10_000, help="0 leaves the run with nothing to do out")
    parser.add_argument("--up-to", nargs="*", default=[], metavar="STAGE", help="of the run with nothing to do")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.clips:
            changes(Path(folder), arguments.clips)
        if arguments.tracked:
            nothing_to_do(Path(folder) / "tracked", arguments.tracked, arguments.up_to)


if __name__ == "__main__":
    main()
