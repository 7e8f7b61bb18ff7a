"""Stage split: the folds of the labeled split, into data/folds.parquet."""

from mer.clips import read_labels, write_folds
from mer.clips.folds import assign_folds
from mer.clips.tables import CORPUS_FOLD
from mer.params import Params
from mer.stage import run


def split(params: Params) -> None:
    rows = read_labels("data/labels.parquet").rows
    rows = rows.assign(fold=assign_folds(rows, params.corpus.folds, params.corpus.seed))
    if CORPUS_FOLD in rows:
        used = rows["fold"].max() + 1
        print(f"split: the corpus' own {used} folds are kept; corpus.folds and corpus.seed decide nothing")
    write_folds("data/folds.parquet", rows[rows["split"] == "labeled"])


if __name__ == "__main__":
    run(split)
