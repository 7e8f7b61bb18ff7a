"""What a bundle says of itself: the corpus it learned from, the encoders, the classes, how good it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer.errors import MerError
from mer.evaluation.target_metrics import mean_absolute_error, moments, pearson
from mer.params import EvaluateParams, FaceParams, ImportParams, Params, origin
from mer.params.corpus import target_names
from mer.self_training.bundle_reading import load_bundle

if TYPE_CHECKING:
    import pandas as pd

    from mer.learning.features import FeatureSet
    from mer.self_training.bundle import Bundle

KEY = "about"
EMBEDDED = "sample/corpus"
"""Where the embedded corpus lies, whose faces are drawn and whose voices are computed."""
MARK = "SYNTHETIC"
"""A file of this name in a corpus says that its clips were made by a program."""
DIGITS = 6


def describe(params: Params, features: FeatureSet, predictions: pd.DataFrame) -> dict[str, Any]:
    """Plain values for `bundle.json`; nothing of this machine's paths but the corpus' own name.

    Args:
        predictions: of the labeled clips out of fold, rows as in `features`.
    """
    from mer.clips.tables import TRANSDUCTIVE  # here: who only loads a bundle waits for no tables

    root = Path(params.corpus.root)
    about: dict[str, Any] = {
        "corpus": root.name if root.is_absolute() else params.corpus.root,
        "layout": params.corpus.layout,
        "synthetic": is_synthetic(root),
        "clips": {split: int((features.split == split).sum()) for split in ("labeled", "unlabeled", "test")},
        "groups": len({group for group in features.groups if group is not None}),
        "views": {name: _origin(params, name) for name in features.views},
        "speech_recognition": _named(params.transcribe.asr),
    }
    if learned_from := predictions.attrs.get(TRANSDUCTIVE):
        about[TRANSDUCTIVE] = learned_from
    # With the defaults: how many resamples evaluation draws must not make a stage train again.
    if features.classes:
        about["out_of_fold"] = _score(features, predictions, EvaluateParams())
        about["labels"] = {name: int((features.labels == c).sum()) for c, name in enumerate(features.classes)}
    if targets := target_names(params.corpus.target):
        about["targets"] = {name: _target_score(features, predictions, name) for name in targets}
    return about


def is_synthetic(root: Path) -> bool:
    """Whether a corpus is the embedded one, or says of itself that a program made it."""
    return root.resolve() == Path(EMBEDDED).resolve() or (root / MARK).exists()


def warning(extra: Mapping[str, Any]) -> str | None:
    """A line to print before the predictions of a bundle that has seen no real face; None for others."""
    about = extra.get(KEY)
    if isinstance(about, Mapping) and about.get("synthetic"):
        return (
            f"warning: this bundle learned from synthetic clips ({about.get('corpus')}); what it says of real faces "
            "and voices means nothing. Train one on real clips: set corpus.root, then dvc repro"
        )
    return None


def tell(folder: str | Path) -> str:
    """What `mer show --bundle` prints.

    Raises:
        MerError: the bundle is missing or broken, or an earlier version of mer saved it.
    """
    bundle = load_bundle(folder)
    about = bundle.extra.get(KEY)
    try:
        lines = _lines(dict(about or {}), bundle)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MerError(
            f"{folder}: does not say what it learned from: an earlier version saved it; train it again"
        ) from None
    return "\n".join(lines)


def _lines(about: Mapping[str, Any], bundle: Bundle) -> list[str]:
    from mer.clips.tables import TRANSDUCTIVE

    clips = about["clips"]
    groups = f", {about['groups']} groups" if about["groups"] else ""
    counts = ", ".join(f"{count} {split}" for split, count in clips.items() if count)
    made = " (synthetic: made by a program)" if about["synthetic"] else ""
    recogniser = about["speech_recognition"]
    transductive = "; self-training learned from those of test, too" if about.get(TRANSDUCTIVE) else ""
    return [
        f"corpus     {about['corpus']}, layout {about['layout']}{made}",
        f"clips      {counts}{groups}{transductive}",
        *([f"classes    {', '.join(bundle.classes)}"] if bundle.classes else []),
        *([f"targets    {', '.join(about['targets'])}"] if "targets" in about else []),
        f"model      {bundle.model.kind}",
        *(f"{'normalise':10} {ways}{_for(what, about)}" for what, ways in about.get("standardised", {}).items()),
        *([f"{'choice':10} {choice_of(bundle)}"] if bundle.classes else []),
        *(f"{name:10} {of}" for name, of in about["views"].items()),
        *([f"{'asr':10} {recogniser}"] if recogniser else []),
        *_scores(about),
    ]


def _for(what: str, about: Mapping[str, Any]) -> str:
    """Which targets a line is about, where there are several."""
    return f" (for {what})" if len(about["standardised"]) > 1 else ""


def choice_of(bundle: Bundle) -> str:
    """Which class is chosen, of a clip's probabilities."""
    adjustment = float(bundle.vote.adjustment)
    return f"the class with the highest p / share^{adjustment:g}" if adjustment else "the most probable class"


def _scores(about: Mapping[str, Any]) -> Iterator[str]:
    """A line for the classes, and one for each target."""
    if "out_of_fold" in about:
        score = about["out_of_fold"]
        yield (
            f"out of fold weighted-F1 {score['weighted_f1']:.3f} [{score['low']:.3f}, {score['high']:.3f}] "
            f"({score['confidence'] * 100:g} % interval, {score['clips']} clips)"
        )
    for name, score in about.get("targets", {}).items():
        yield f"out of fold {name} MAE {score['mae']:.3f}, Pearson {score['pearson']:.3f} ({score['clips']} clips)"


def _origin(params: Params, name: str) -> str:
    """What a view is made from, in a few words."""
    view = params.views[name]
    where = _named(origin(view)) or ""
    if isinstance(view, ImportParams):
        where = f"imported from {where}" + (f", {view.array}" if view.array else "")
    elif isinstance(view, FaceParams):
        where += f" on crops of {params.faces.detector}"
    return where if name == view.modality else f"{where} ({view.modality})"


def _named(path: str | None) -> str | None:
    """A path as params have it; of an absolute one the last two parts, which name it without naming the machine."""
    if path is None or not Path(path).is_absolute():
        return path
    return "/".join(Path(path).parts[-2:]).lstrip("/")


def _target_score(features: FeatureSet, predictions: pd.DataFrame, name: str) -> dict[str, Any]:
    """Errors and correlation of the labeled clips that have a fold and the target."""
    known = (features.folds >= 0) & np.isfinite(features.targets[name])
    sums = moments(features.targets[name][known], predictions[f"t_{name}"].to_numpy(float)[known]).sum(axis=0)
    return {
        "mae": round(float(mean_absolute_error(sums)), DIGITS),
        "pearson": round(float(pearson(sums)), DIGITS),
        "clips": int(known.sum()),
    }


def _score(features: FeatureSet, predictions: pd.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """Weighted-F1 of the labeled clips that have a fold, its interval resampled by group as in evaluation."""
    import pandas as pd  # here: who only loads a bundle waits for no tables

    from mer.evaluation.bootstrap import bootstrap_interval

    rows = np.flatnonzero((features.labels >= 0) & (features.folds >= 0))
    names = np.array(features.classes, dtype=object)
    groups = pd.Series(features.groups[rows]) if pd.notna(features.groups[rows]).any() else None
    found = bootstrap_interval(
        pd.Series(names[features.labels[rows]]),
        predictions["predicted"].iloc[rows].reset_index(drop=True),
        features.classes,
        groups=groups,
        repeats=params.bootstrap,
        confidence=params.confidence,
        seed=params.seed,
    )
    values = {"weighted_f1": found.value, "low": found.low, "high": found.high}
    rounded = {name: round(float(value), DIGITS) for name, value in values.items()}
    return {**rounded, "confidence": params.confidence, "clips": len(rows)}
