"""Prediction of many files: throughput against one call a file, rows against the stage's own, and loading.

Three ways for the same clips, in one run: a call of `mer predict` a file; a loop over the files in one process, each
decoded in a sandbox of its own and encoded alone, as `mer predict A B C` did before; and the whole list at once. The
rows must be equal. Then the list again, killed half-way and run again: the same table.

With `--run`, the clips are those of a trained run, with the transcripts that its stages had, and rows are held against
what the stage wrote in `data/predictions.parquet`; for labeled clips, of which that file has out-of-fold predictions
alone, against the bundle's vote on the features that the stage wrote.

    python -m benchmarks.prediction clips CLIP ... [--bundle data/models/bundle] [--calls 5] [--looped 100]
    python -m benchmarks.prediction clips --run . [--most 1000]
    python -m benchmarks.prediction load
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mer.encoders.base import Features
from mer.encoders.face.cropper import FaceCropper
from mer.media.sandbox import decode_safely
from mer.prediction.answer import rounded
from mer.prediction.extractor import Extracted, raw_of
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.voting import predictions
from mer.store.tables import read_utterances

Rows = Mapping[str, Mapping[str, float]]
"""Probabilities of each file, by its path; none where there are none."""
CLOSE = 2e-6
"""Rows have six digits."""
LOADED = 5
"""Processes that load a bundle, one after another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("data/models/bundle"))
    ways = parser.add_subparsers(dest="way", required=True)
    clips = ways.add_parser("clips")
    clips.add_argument("clips", nargs="*", type=Path)
    clips.add_argument("--run", type=Path, help="folder of a repository whose pipeline has run; takes its clips")
    clips.add_argument("--most", type=int, default=1000, help="clips that are taken of it")
    clips.add_argument("--calls", type=int, default=5, help="calls of one file that are timed")
    clips.add_argument("--looped", type=int, default=100, help="files that the loop takes")
    ways.add_parser("load")
    given = parser.parse_args()
    if given.way == "load":
        time_loading(given.bundle)
        return
    sources = [Source(str(clip), str(clip)) for clip in given.clips]
    stage: Rows = {}
    if given.run is not None:
        sources = clips_of(given.run)[: given.most]
        stage = stages_rows(given.run, given.bundle, sources)
    if not sources:
        parser.error("no clip: name some, or --run")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given.bundle, sources, stage, given.calls, given.looped)


def compare(folder: Path, bundle: Path, sources: Sequence[Source], stage: Rows, calls: int, looped: int) -> None:
    """Print seconds a clip of each way, and whether the rows are equal."""
    listed = write_list(folder / "list.csv", sources)
    table, again = folder / "table.csv", folder / "again.csv"
    start = time.perf_counter()
    for one in sources[:calls]:
        call("predict", one.file, "--transcript", one.transcript, "--bundle", bundle)
    by_call = (time.perf_counter() - start) / min(calls, len(sources))
    by_loop, alone = loop(bundle, sources[:looped])
    start = time.perf_counter()
    call("predict", listed, "--bundle", bundle, "--out", table)
    together = (time.perf_counter() - start) / len(sources)
    print(
        f"{len(sources)} clips, seconds a clip: a call each {by_call:.3f} (of {min(calls, len(sources))}), "
        f"a loop {by_loop:.3f} (of {len(alone)}), together {together:.3f}; "
        f"times as fast: {by_call / together:.1f} and {by_loop / together:.1f}",
        flush=True,
    )
    rows = probabilities(table)
    for name, others in (("the loop", alone), ("the stage", stage)):
        if others:
            print(f"rows equal to those of {name}: {equal(rows, others)} of {len(others)}", flush=True)
    kept = killed(again, len(sources) // 2, "predict", listed, "--bundle", bundle, "--out", again)
    call("predict", listed, "--bundle", bundle, "--out", again)
    print(f"killed with {kept} rows written, run again: the same table: {again.read_bytes() == table.read_bytes()}")


def clips_of(run: Path) -> list[Source]:
    """The clips of a run with the transcripts that its stages had."""
    from mer.params import load_params

    root = run / load_params(run / "params.yaml").corpus.root
    clips = pd.read_parquet(run / "data/clips.parquet").merge(pd.read_parquet(run / "data/transcripts.parquet"))
    return [
        Source(str((root / path).resolve()), str((root / path).resolve()), None, text if source == "corpus" else "")
        for path, text, source in zip(clips["path"], clips["transcript"], clips["source"], strict=True)
    ]


def stages_rows(run: Path, bundle: Path, sources: Sequence[Source]) -> Rows:
    """What the stage says of clips: its own table, and of labeled clips the vote on its features."""
    classifier = Predictor(bundle).classifier
    clips = pd.read_parquet(run / "data/clips.parquet").iloc[: len(sources)]
    told = pd.read_parquet(run / "data/predictions.parquet").set_index("clip_id")
    names = classifier.standardisation.standardisers
    tables = {name: read_utterances(run / f"data/features/{name}/utterance.parquet") for name in names}
    places = {name: {clip: row for row, clip in enumerate(table.clip_ids)} for name, table in tables.items()}
    found: dict[str, Mapping[str, float]] = {}
    for clip, source in zip(clips["clip_id"], sources, strict=True):
        if told.loc[clip, "split"] != "labeled":
            found[source.path] = {name: float(told.loc[clip, f"p_{name}"]) for name in classifier.classes}
            continue
        features = {
            name: Features(np.asarray(of.embeddings[row]), int(of.frames[row]), bool(of.ok[row]))
            for name, of in tables.items()
            for row in [places[name][clip]]
        }
        [one] = predictions(classifier, [source], [Extracted(features, source.transcript, "given", (), 0.0)])
        found[source.path] = one.probabilities
    return found


def write_list(path: Path, sources: Sequence[Source]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "transcript"), *((one.file, one.transcript) for one in sources)])
    return path


def loop(bundle: Path, sources: Sequence[Source]) -> tuple[float, Rows]:
    """Seconds a clip, and the probabilities of each."""
    predictor = Predictor(bundle).ready()
    cropper = FaceCropper(predictor.params.faces) if "face" in predictor.modalities else None
    found = {}
    start = time.perf_counter()
    for one in sources:
        raw = raw_of(decode_safely(one.file, predictor.params.decode), cropper, one.transcript)
        [prediction] = predictor.predict_raw([raw], [one])
        found[one.path] = rounded(prediction.probabilities)
    return (time.perf_counter() - start) / len(sources), found


def probabilities(table: Path) -> Rows:
    rows = read(table)
    names = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    return {row["path"]: {name: float(row[f"p_{name}"]) for name in names if row[f"p_{name}"]} for row in rows}


def equal(rows: Rows, others: Rows) -> int:
    """How many of the others' rows are ours, too."""
    return sum(
        rows[path].keys() == other.keys() and all(abs(rows[path][name] - other[name]) < CLOSE for name in other)
        for path, other in others.items()
    )


def killed(table: Path, rows: int, *words: object) -> int:
    """Start a run, kill it once so many rows are written; how many there are then."""
    process = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not table.exists() or table.read_bytes().count(b"\n") <= rows):
        time.sleep(0.05)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return table.read_bytes().count(b"\n") - 1


def time_loading(bundle: Path) -> None:
    """Print the seconds that a fresh process takes from its first import until a bundle is there."""
    code = (
        "import sys, time; start = time.perf_counter(); import torch; torch_ = time.perf_counter(); "
        "from mer import load_bundle; load_bundle(sys.argv[1]); end = time.perf_counter(); "
        "print(torch_ - start, end - torch_, time.process_time())"
    )
    done = [
        subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True).stdout
        for _ in range(LOADED)
    ]
    torch, ours, cpu = np.median(np.array([line.split() for line in done], float), axis=0)
    print(f"load: {ours:.2f} s with our imports, after {torch:.2f} s for `import torch`; {cpu:.2f} s of CPU in all")


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "mer.cli", *map(str, words)]


def call(*words: object) -> None:
    """Run it; a file that could not be predicted makes status 1."""
    done = subprocess.run(command(*words), capture_output=True, text=True)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        sys.exit(done.stderr)


def read(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
