"""Stage ingest: the corpus on disk becomes data/clips.parquet, its test labels a table of their own."""

from dataclasses import replace
from pathlib import Path

from mer.clips import write_clips, write_test_labels
from mer.layouts import read_corpus
from mer.params import Params
from mer.stage import run
from mer.training.folds import assign_folds


def ingest(params: Params) -> None:
    corpus = read_corpus(params.corpus, prefer=params.transcribe.prefer)
    folds = assign_folds(corpus.table.rows, params.corpus.folds, params.corpus.seed)
    Path("data").mkdir(exist_ok=True)
    write_clips("data/clips.parquet", replace(corpus.table, rows=corpus.table.rows.assign(fold=folds)))
    write_test_labels("data/test_labels.parquet", corpus.test_labels)


if __name__ == "__main__":
    run(ingest)
