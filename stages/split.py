"""Stage split: the folds of the labeled split, and of other clips of the same groups, into data/folds.parquet."""

from mer.clips import read_labels, write_folds
from mer.clips.folds import LEAST, assign_folds
from mer.clips.tables import CORPUS_FOLD
from mer.params import Params
from mer.running.stage import run


def split(params: Params) -> None:
    rows = read_labels("data/labels.parquet").rows
    rows = rows.assign(fold=assign_folds(rows, params.corpus.folds, params.corpus.seed))
    own = rows[CORPUS_FOLD].nunique() if CORPUS_FOLD in rows else 0
    if own >= LEAST:
        print(f"split: the corpus' own {own} folds are kept; corpus.folds and corpus.seed decide nothing")
    elif own:
        print(f"split: the corpus' own {own} folds are too few, at least {LEAST} are needed: others are dealt")
    for name in ("unlabeled", "test"):
        others = rows[rows["split"] == name]
        if kin := int((others["fold"] >= 0).sum()):
            print(f"split: {kin} of {len(others)} {name} clips are of labeled groups, and in their folds")
    write_folds("data/folds.parquet", rows[rows["fold"] >= 0])


if __name__ == "__main__":
    run(split)
