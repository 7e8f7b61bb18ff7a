"""Weighted-F1 with few labels, test groups held out: the method against logistic regression, `attention` and labels
only.

    python -m benchmarks.limited_labels --corpora nemo emodb mosi meld enjoyment --draws 10 --workers 2

For every corpus, way of standardising and balance, each draw labels a share of the training clips; the others are
unlabeled. Test clips are in the tables without their label: features are standardised over them, too, as the pipeline
does, and contrast sees them; self-training does not. Every result is a line of the output file, and lines that are
there are not computed again: run it in pieces, on several machines if need be. `--table` prints the tables only.
`--set` changes parameters of every method of ours: --set self_train.steps=100 --out some/other/file.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a draw: threads of several would wait for each other

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.corpora import CORPORA, load_corpus, make_draw, make_feature_set
from benchmarks.methods import MAIN, METHODS, REFERENCE, Overrides, Trainer, logistic_regression, standardised
from benchmarks.tables import Results, between_markers, cell_table, claim_table, margin_table
from mer.errors import MerError
from mer.learning.features import grouped
from mer.running.lifeline import end_with_parent
from mer.self_training.results import weighted_f1

SHARES = (0.02, 0.05, 0.10, 0.30, 1.0)
REAL = ("nemo", "emodb", "mosi", "meld", "enjoyment")
KEYS = ("corpus", "normalise", "balance", "share", "draw", "method")
CUT = ("nemo", "emodb")
"""Corpora that are balanced and large enough in every class to be cut to MER2024's imbalance."""
DEFAULT, LABELS_ONLY = "mrccl", "labels only"
LEAST_LABELED = 12
"""A share that labels fewer clips, or clips of fewer than three groups, is left out."""


@dataclass(frozen=True)
class Task:
    """One draw of one cell's column: everything that shares a pretraining."""

    corpus: str
    normalise: str
    balance: str
    draw: int
    shares: tuple[float, ...]
    methods: tuple[str, ...]
    base: Overrides

    def key(self, share: float, method: str) -> dict[str, Any]:
        """What a line of results is known by."""
        return {
            "corpus": self.corpus,
            "normalise": self.normalise,
            "balance": self.balance,
            "share": share,
            "draw": self.draw,
            "method": method,
        }


def run_task(task: Task) -> list[dict[str, Any]]:
    """All shares and methods of a draw."""
    torch.set_num_threads(1)
    corpus = load_corpus(task.corpus)
    draw = make_draw(corpus, task.draw, imbalanced=task.balance == "imbalanced")
    known = task.normalise == "group"
    ways = ["group"] if known else task.base.get("model", {}).get("normalise", ["corpus", "guessed"])
    own = {"modalities": list(corpus.views)}
    base = {**task.base, "model": {**own, **task.base.get("model", {}), "normalise": ways}}
    trainer, lines = Trainer(base), []
    for share in task.shares:
        labeled = draw.labeled(share)
        if len(labeled) < LEAST_LABELED or len(set(corpus.groups[labeled])) < 3:
            continue
        features = make_feature_set(corpus, draw, labeled, groups=known)
        test = features.split == "test"
        truth = corpus.labels[np.concatenate([draw.train, draw.test])]
        for method in task.methods:
            if method == LABELS_ONLY:
                continue  # a line of its own from the run of the default
            started = time.process_time()
            extra: dict[str, Any] = {}
            if method == REFERENCE:
                x = standardised(features, grouped(features.groups) if known else None)
                predicted = logistic_regression(x, features.labels)
            else:
                found = trainer(features, METHODS[method], task.draw)
                index = {name: i for i, name in enumerate(corpus.classes)}
                predicted = found.predictions["predicted"].map(index).to_numpy().astype(np.int64)
                labels = features.labels >= 0
                extra["out_of_fold"] = weighted_f1(truth[labels], predicted[labels])
                extra["kept"] = float(found.rounds.loc[found.rounds["round"] > 0, "kept"].mean())
            line = task.key(share, method) | {"weighted_f1": weighted_f1(truth[test], predicted[test])} | extra
            lines.append(line | {"seconds": round(time.process_time() - started, 2), "labels": len(labeled)})
            if method == DEFAULT:
                before = found.labels_only["predicted"].map(index).to_numpy().astype(np.int64)
                key = task.key(share, LABELS_ONLY)
                lines.append(key | {"weighted_f1": weighted_f1(truth[test], before[test]), "labels": len(labeled)})
    return lines


def make_tasks(arguments: argparse.Namespace, results: Results) -> list[Task]:
    """What is still to be computed, draw by draw over all corpora, so that every prefix of the work is a fair table."""
    base = parse_settings(arguments.set)
    tasks = []
    for number in range(arguments.first, arguments.first + arguments.draws):
        for corpus in arguments.corpora:
            for normalise in arguments.normalise:
                for balance in arguments.balance:
                    if balance == "imbalanced" and corpus not in CUT:
                        continue
                    task = Task(
                        corpus, normalise, balance, number, tuple(arguments.shares), tuple(arguments.methods), base
                    )
                    missing = [m for m in task.methods if not all(results.has(**task.key(s, m)) for s in task.shares)]
                    if LABELS_ONLY in missing and DEFAULT not in missing:
                        missing.append(DEFAULT)  # whose run gives its line
                    shares = [s for s in task.shares if not all(results.has(**task.key(s, m)) for m in task.methods)]
                    if missing:
                        tasks.append(Task(corpus, normalise, balance, number, tuple(shares), tuple(missing), base))
    return tasks


def parse_settings(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`section.key=value` pairs, values in YAML."""
    values: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot):
            raise MerError(f"--set {pair}: write section.key=value")
        values.setdefault(section, {})[key] = yaml.safe_load(value)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="*", default=list(REAL), choices=list(CORPORA))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--shares", type=float, nargs="*", default=list(SHARES))
    parser.add_argument("--normalise", nargs="*", default=["corpus", "group"], choices=["corpus", "group"])
    parser.add_argument("--balance", nargs="*", default=["own", "imbalanced"], choices=["own", "imbalanced"])
    parser.add_argument("--methods", nargs="*", default=list(MAIN), choices=[REFERENCE, LABELS_ONLY, *METHODS])
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("metrics/limited_labels.jsonl"))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between a document's markers")
    parser.add_argument("--table", action="store_true", help="print the tables and stop")
    arguments = parser.parse_args()
    if arguments.set and arguments.out == parser.get_default("out"):
        parser.error("--set asks for --out: the lines of other parameters must not mix with those of the defaults")
    results = Results(arguments.out, KEYS)
    if not arguments.table:
        tasks = make_tasks(arguments, results)
        with multiprocessing.get_context("spawn").Pool(
            arguments.workers, end_with_parent, (os.getpid(),), maxtasksperchild=4
        ) as pool:
            for done, lines in enumerate(pool.imap_unordered(run_task, tasks), start=1):
                for line in lines:
                    if not results.has(**{name: line[name] for name in KEYS}):
                        results.add(**line)
                print(f"{done} of {len(tasks)} tasks", flush=True)
    frame = results.frame()
    parts = {"claims": claim_table(frame), "margins": margin_table(frame), "cells": cell_table(frame)}
    print("\n".join(parts.values()))
    if arguments.write is not None:
        text = arguments.write.read_text(encoding="utf-8")
        for name, table in parts.items():
            text = between_markers(text, name, table)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
