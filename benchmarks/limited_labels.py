"""Weighted-F1 with few labels on nEMO, test speakers held out: MR-CCL against simpler methods, and without its parts.

    python -m benchmarks.limited_labels [--draws 12] [--only 0 1 2] [--shares .01 .02] [--methods mrccl attention]

Each draw holds out two speakers and labels a share of the other seven's clips. `alone`: the rest of the seven's clips
are unlabeled. `transductive`: the test speakers' clips are among the unlabeled ones too, as in the MER challenges. With
`--normalise group` every method, scikit-learn's too, sees features standardised within each speaker, with `corpus` over
all clips.
Every result is a line of the output file, and lines that are there are not computed again: run it in pieces.
`--table` prints the tables only. Settings are chosen with `--development --out some/other/file`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.methods import ADDITIONS, BASELINES, PARTS, SCIKIT, Trainer, predict_bundle, predict_scikit
from benchmarks.nemo import Corpus, Draw, concatenated, load_nemo, make_draws, make_feature_set
from benchmarks.tables import Results, against
from mer.training.teaching import weighted_f1

SHARES = (0.01, 0.02, 0.05, 0.10)
OURS = {**BASELINES, **PARTS, **ADDITIONS}
METHODS = (*SCIKIT, "attention", *PARTS)
KEYS = ("draw", "normalise", "setting", "share", "method")


@dataclass(frozen=True)
class Setting:
    """`kind` is `alone` or `transductive`, `normalise` is `corpus` or `group`."""

    kind: str
    normalise: str


def run_draw(
    corpus: Corpus, draw: Draw, setting: Setting, shares: Sequence[float], methods: Sequence[str], results: Results
) -> None:
    """All methods at all label shares of one draw."""
    trainer = Trainer({"normalise": setting.normalise})
    transductive = setting.kind == "transductive"
    rows = np.concatenate([draw.train, draw.test]) if transductive else draw.train
    x = concatenated(corpus, rows, setting.normalise)
    truth = corpus.labels[draw.test]
    for share in shares:
        labeled = draw.labeled(share)
        known = np.where(np.isin(rows, labeled), corpus.labels[rows], -1)
        features = make_feature_set(corpus, draw, labeled, test_unlabeled=transductive)
        for method in methods:
            key = {"draw": draw.number, "normalise": setting.normalise, "setting": setting.kind}
            key |= {"share": share, "method": method}
            if results.has(**key):
                continue
            if method in SCIKIT:
                predicted = predict_scikit(method, x[rows], known, x[draw.test])
            else:
                bundle = trainer(features, OURS[method], draw.number).bundle
                views = {name: view[draw.test] for name, view in corpus.views.items()}
                predicted = predict_bundle(bundle, views, corpus.speakers[draw.test])
            results.add(**key, weighted_f1=weighted_f1(truth, predicted))
            print(results.lines[-1], flush=True)


def tables(results: Results) -> str:
    """A table a setting, rows methods, columns label shares."""
    parts = []
    for (normalise, kind), part in results.frame().groupby(["normalise", "setting"]):
        draws = part["draw"].nunique()
        title = f"{kind}, standardised by {normalise}, {draws} draws"
        parts.append(f"{title}: mean weighted-F1 (mrccl minus it, 95 % paired interval)\n")
        parts.append(against(part, sorted(part["share"].unique()), "share", "mrccl") + "\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--only", type=int, nargs="*", help="run these draws only")
    parser.add_argument("--settings", nargs="*", default=["alone", "transductive"])
    parser.add_argument("--normalise", nargs="*", default=["corpus", "group"])
    parser.add_argument("--shares", type=float, nargs="*", default=list(SHARES))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--development", action="store_true", help="train and test on the development speakers")
    parser.add_argument("--out", type=Path, default=Path("metrics/limited_labels.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the tables and stop")
    arguments = parser.parse_args()
    results = Results(arguments.out, KEYS)
    if not arguments.table:
        corpus = load_nemo()
        for draw in make_draws(corpus, arguments.draws, development=arguments.development):
            if arguments.only is None or draw.number in arguments.only:
                for kind, normalise in product(arguments.settings, arguments.normalise):
                    run_draw(corpus, draw, Setting(kind, normalise), arguments.shares, arguments.methods, results)
    print(tables(results))


if __name__ == "__main__":
    main()
