"""Stage ingest: the corpus on disk becomes tables in data/, each for those who need it; see mer.clips."""

from pathlib import Path

import pandas as pd

from mer import clips
from mer.extraction.sources import file_digests
from mer.layouts import read_corpus
from mer.links import link
from mer.params import Params
from mer.stage import run


def ingest(params: Params) -> None:
    link("ingest", params)
    corpus = read_corpus(params.corpus, prefer=params.transcribe.prefer)
    rows = corpus.table.rows
    digests = pd.Series(list(file_digests(params.corpus.root, list(rows["path"]))), index=rows.index, dtype="str")
    rows = rows.assign(sha256=digests)
    Path("data").mkdir(exist_ok=True)
    clips.write_clips("data/clips.parquet", rows)
    clips.write_texts("data/corpus_text.parquet", rows)
    clips.write_splits("data/splits.parquet", rows)
    clips.write_groups("data/groups.parquet", rows)
    clips.write_labels("data/labels.parquet", corpus.table)
    clips.write_test_labels("data/test_labels.parquet", corpus.test_labels)


if __name__ == "__main__":
    run(ingest)
