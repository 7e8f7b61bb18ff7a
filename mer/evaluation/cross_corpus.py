"""What a bundle is worth on another corpus: its labels mapped, its scores with intervals, the shift of the classes'
shares, and how far the bundle's confidence can still be believed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips.tables import TARGET, TRANSDUCTIVE, targets_of
from mer.errors import MerError
from mer.evaluation.bootstrap import Interval, bootstrap_interval
from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.evaluation.evaluate import DIGITS, target_metrics
from mer.evaluation.headline import targets_in
from mer.evaluation.metrics import accuracy, unweighted_recall, weighted_f1
from mer.evaluation.prior_shift import adjusted, estimate_shares
from mer.layouts import Corpus
from mer.params import EvaluateParams


@dataclass(frozen=True)
class Judged:
    """The clips of a corpus that can be scored: `rows` has `clip_id, path, group, transcript`, `actual` (a class of the
    bundle, null where the clip has none) and `target_<name>`. `dropped` counts labels that were mapped to nothing."""

    rows: pd.DataFrame
    dropped: Mapping[str, int]


def judged_clips(
    corpus: Corpus, classes: tuple[str, ...], targets: tuple[str, ...], names: Mapping[str, str]
) -> Judged:
    """The clips whose label, or target, is known, in any split.

    Args:
        classes: the bundle's.
        targets: the bundle's.
        names: their label -> ours, or an empty text to drop the clip; a label that is not in it keeps its name.

    Raises:
        MerError: a label, ours or theirs, is unknown; no clip is left.
    """
    rows, tested = corpus.table.rows, corpus.test_labels.set_index("clip_id")
    known = rows["label"].where(rows["label"].notna(), rows["clip_id"].map(tested["label"]))
    for theirs, ours in names.items():
        if classes and theirs not in set(known):
            there = ", ".join(sorted(set(known.dropna())))
            raise MerError(f"--map {theirs}={ours}: the corpus has no label '{theirs}' (there are: {there})")
        if ours and ours not in classes:
            raise MerError(f"--map {theirs}={ours}: the bundle has no class '{ours}' (there are: {', '.join(classes)})")
    mapped = known.map(lambda label: names.get(label, label) if isinstance(label, str) else None)
    strange = Counter(label for label in mapped.dropna() if label and label not in classes)
    if classes and strange:
        counts = ", ".join(f"'{label}' ({count} clips)" for label, count in sorted(strange.items()))
        first = min(strange)
        raise MerError(
            f"labels that the bundle does not know: {counts}; it knows {', '.join(classes)}: name one for each with "
            f"--map {first}=..., or leave such clips out with --map {first}="
        )
    found = rows[["clip_id", "path", "group", "transcript"]].assign(
        actual=mapped.where(mapped.isin(classes)).astype(object).where(mapped.isin(classes), None)
    )
    for name in targets:
        for table in (rows, corpus.test_labels):
            if name in targets_of(table):
                own = found["clip_id"].map(table.set_index("clip_id")[TARGET + name])
                before = found.get(TARGET + name)
                found[TARGET + name] = own if before is None else before.where(before.notna(), own)
    numbers = found[[name for name in found.columns if name.startswith(TARGET)]].notna().any(axis=1)
    kept = found[found["actual"].notna() | numbers].reset_index(drop=True)
    if kept.empty:
        raise MerError("no clip of the corpus has a label or target that the bundle predicts")
    return Judged(kept, Counter(label for label in known.dropna() if names.get(label) == ""))


def judge(
    judged: Judged,
    probabilities: NDArray[np.float32],
    numbers: Mapping[str, NDArray[np.float64]],
    classes: tuple[str, ...],
    trained: NDArray[np.float64],
    params: EvaluateParams,
    chosen: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Scores as plain values of JSON.

    Args:
        probabilities: the bundle's, [N, C], rows as those of `judged`.
        numbers: columns `t_<name>`, `t_<name>_low` and `t_<name>_high` [N].
        classes: C names.
        trained: [C], the classes' shares in training.
        params: of the intervals.
        chosen: the bundle's class of each clip, [N]; None takes the most probable one.
    """
    rows, found = judged.rows, dict[str, Any]()
    known = rows["actual"].notna().to_numpy()
    found["confidence_level"] = params.confidence
    if classes and known.any():
        own = probabilities.argmax(axis=1) if chosen is None else chosen
        found |= _of_classes(rows[known], probabilities[known].astype(np.float64), own[known], classes, trained, params)
    for name in targets_of(rows):
        own = rows[TARGET + name].notna().to_numpy()
        if f"t_{name}" in numbers and own.any():
            table = pd.DataFrame(
                {
                    "group": rows["group"][own],
                    "actual": rows[TARGET + name][own],
                    **{end: numbers[f"t_{name}{part}"][own] for end, part in ENDS.items()},
                }
            )
            found |= target_metrics(name, table, params)
    if judged.dropped:
        found["dropped"] = dict(sorted(judged.dropped.items()))
    return found


ENDS = {"predicted": "", "low": "_low", "high": "_high"}


def _of_classes(
    rows: pd.DataFrame,
    probabilities: NDArray[np.float64],
    chosen: NDArray[np.int64],
    classes: tuple[str, ...],
    trained: NDArray[np.float64],
    params: EvaluateParams,
) -> dict[str, Any]:
    actual, names = rows["actual"].reset_index(drop=True), np.array(classes, object)
    groups = rows["group"].reset_index(drop=True) if rows["group"].notna().any() else None
    predicted, confidence = pd.Series(names[chosen]), probabilities[np.arange(len(chosen)), chosen]
    shares = estimate_shares(probabilities, trained)
    corrected = pd.Series(names[adjusted(probabilities, trained, shares).argmax(axis=1)])
    bins = calibration_bins(confidence, (actual == predicted).to_numpy(bool))

    def interval(guess: pd.Series, metric: Any) -> Interval:
        return bootstrap_interval(
            actual,
            guess,
            classes,
            groups=groups,
            metric=metric,
            repeats=params.bootstrap,
            confidence=params.confidence,
            seed=params.seed,
        )

    scored: list[tuple[str, pd.Series, Any]] = [
        ("weighted_f1", predicted, weighted_f1),
        ("uar", predicted, unweighted_recall),
        ("accuracy", predicted, accuracy),
        ("weighted_f1_shifted", corrected, weighted_f1),
    ]
    counts = np.array([(actual == name).sum() for name in classes], np.float64)
    found: dict[str, Any] = {}
    if not counts.all():  # the corpus lacks some: the likeliest of those that it has
        among = pd.Series(names[np.where(counts > 0, probabilities, -1.0).argmax(axis=1)])
        scored.append(("weighted_f1_shared", among, weighted_f1))
        found["chance_shared"] = _round(chance(actual, among, classes))
    for key, guess, metric in scored:
        score = interval(guess, metric)
        found |= {key: _round(score.value), f"{key}_low": _round(score.low), f"{key}_high": _round(score.high)}
    return found | {
        "chance": _round(chance(actual, predicted, classes)),
        "ece": _round(expected_calibration_error(bins)),
        "mean_confidence": _round(float(confidence.mean())),
        "clips": len(rows),
        **({} if groups is None else {"groups": int(groups.nunique())}),
        "shares": {
            name: {"trained": _round(t), "estimated": _round(e), "actual": _round(a)}
            for name, t, e, a in zip(classes, trained, shares, counts / counts.sum(), strict=True)
        },
    }


def chance(actual: pd.Series, predicted: pd.Series, classes: tuple[str, ...]) -> float:
    """The weighted-F1 that the same predictions would have, dealt out to the clips at random."""
    support = np.array([(actual == name).sum() for name in classes], np.float64)
    times = np.array([(predicted == name).sum() for name in classes], np.float64)
    hits = support * times / len(actual)
    return float((2 * hits / np.maximum(support + times, 1) * support).sum() / support.sum())


def told(found: Mapping[str, Any]) -> Iterator[str]:
    """The same for people, line by line."""
    level = f"{found['confidence_level'] * 100:g} % interval"
    if "weighted_f1" in found:
        clips = f"{found['clips']} clips" + (f" in {found['groups']} groups" if "groups" in found else "")
        yield f"weighted-F1 {_interval(found, 'weighted_f1')} ({level}, {clips}); by chance {found['chance']:.3f}"
        yield f"unweighted average recall {_interval(found, 'uar')}, accuracy {_interval(found, 'accuracy')}"
        if "weighted_f1_shared" in found:
            there = [name for name, of in found["shares"].items() if of["actual"]]
            score = f"{_interval(found, 'weighted_f1_shared')}; by chance {found['chance_shared']:.3f}"
            yield f"weighted-F1 among {', '.join(there)}, which alone are there: {score}"
        sure = f"says {found['mean_confidence']:.3f}, is right {found['accuracy']:.3f} of the time"
        yield f"calibration error {found['ece']:.3f}: {sure}"
        for name, of in found["shares"].items():
            shares = f"trained {of['trained']:.3f}, estimated here {of['estimated']:.3f}, labeled {of['actual']:.3f}"
            yield f"share of {name}: {shares}"
        yield f"weighted-F1 with the estimated shares {_interval(found, 'weighted_f1_shifted')}"
    for name in targets_in(found):
        scores = ", ".join(f"{key.upper()} {_interval(found, f'{name}_{key}')}" for key in ("mae", "pearson", "ccc"))
        yield f"{name} {scores} ({found[f'{name}_clips']} clips, {found[f'{name}_coverage']:.1%} within intervals)"
    if TRANSDUCTIVE in found:
        its_own = f"{found[TRANSDUCTIVE]} test clips of its own corpus"
        yield f"the bundle learned from the features of {its_own}: scores of these are transductive"
    for label, count in found.get("dropped", {}).items():
        yield f"left out: {count} clips labeled '{label}'"


def _interval(found: Mapping[str, Any], key: str) -> str:
    return f"{found[key]:.3f} [{found[f'{key}_low']:.3f}, {found[f'{key}_high']:.3f}]"


def _round(value: float) -> float:
    return round(float(value), DIGITS)
