"""Stage ingest: the corpus on disk becomes tables in data/, each for those who need it; see mer.clips."""

import gc
from pathlib import Path

import pandas as pd

from mer import clips
from mer.extraction.sources import file_digests
from mer.layouts import read_corpus
from mer.links import link
from mer.params import Params
from mer.running.stage import run


def ingest(params: Params) -> None:
    link("ingest", params)
    corpus = read_corpus(params.corpus, prefer=params.transcribe.prefer)
    rows = corpus.table.rows
    rows = rows.assign(sha256=_digests(params, rows["path"]))
    if "sound" in rows:
        rows = rows.assign(sound_sha256=_digests(params, rows["sound"]))
    Path("data").mkdir(exist_ok=True)
    clips.write_clips("data/clips.parquet", rows)
    clips.write_texts("data/corpus_text.parquet", rows)
    clips.write_splits("data/splits.parquet", rows)
    clips.write_groups("data/groups.parquet", rows)
    clips.write_labels("data/labels.parquet", corpus.table)
    clips.write_test_labels("data/test_labels.parquet", corpus.test_labels)
    for line in (*corpus.notes.about, *corpus.notes.lines()):
        print(f"ingest: {line}", flush=True)


def _digests(params: Params, paths: pd.Series) -> pd.Series:
    """SHA-256 of each file, each read once; null where there is none."""
    known = paths.dropna().drop_duplicates()
    digests = dict(zip(known, file_digests(params.corpus.root, list(known)), strict=True))
    return pd.Series([digests.get(path) for path in paths], index=paths.index, dtype="str")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and looking for some among a million of objects takes a third of the time
    run(ingest)
