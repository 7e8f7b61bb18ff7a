"""A bundle on another corpus, from the files to the scores."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips.tables import TRANSDUCTIVE
from mer.errors import MerError
from mer.evaluation.cross_corpus import judge, judged_clips
from mer.extraction.elsewhere import decoded, encoded, frames_of, tolerant
from mer.extraction.sources import file_digests
from mer.layouts import read_corpus
from mer.params import CorpusParams, EvaluateParams
from mer.provenance import read_provenance
from mer.self_training.bundle import Bundle
from mer.self_training.bundle_reading import load_bundle


def evaluate_elsewhere(
    folder: Path, corpus: CorpusParams, names: Mapping[str, str], weights: Mapping[str, str]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores, and the predictions they are of.

    Args:
        folder: of the bundle.
        corpus: where the other corpus is, and how it lies there.
        names: their label -> ours; see `judged_clips`.
        weights: where encoders lie now; see `mer.provenance`.

    Raises:
        MerError: the bundle, an encoder or the corpus is not what it should be, or their labels do not meet.
    """
    bundle = load_bundle(folder)
    made = read_provenance(bundle.extra, folder, weights)
    made = type(made)(made.folder, tolerant(made.params), made.made)
    known = () if bundle.numbers is None else bundle.numbers.targets
    targets = corpus.targets or (() if bundle.classes else known)
    for name in targets:
        if name not in known:
            raise MerError(f"--target {name}: the bundle does not predict it, but {', '.join(known) or 'no target'}")
    corpus = corpus.model_copy(update={"target": targets or None})
    found = read_corpus(corpus, prefer=made.params.transcribe.prefer)
    judged = judged_clips(found, bundle.classes, targets, names)
    rows, views = judged.rows, bundle.standardisation.views.names
    digests = list(file_digests(corpus.root, list(rows["path"])))
    clips = rows[["clip_id", "path"]].assign(sha256=pd.Series(digests, index=rows.index, dtype="str"))
    said = zip(rows["clip_id"], rows["transcript"], strict=True)
    texts = {clip_id: text if isinstance(text, str) else None for clip_id, text in said}
    with tempfile.TemporaryDirectory(prefix="mer-evaluate-") as scratch:
        media = decoded(clips, Path(corpus.root), made.params, Path(scratch))
        tables = encoded(media, texts, made, views, folder)
        features = {name: table.embeddings for name, table in tables.items()}
        present = {name: table.ok for name, table in tables.items()}
        groups = rows["group"].astype(object).where(rows["group"].notna(), None).to_numpy(dtype=object)
        own = (features, present, groups, frames_of(media, bundle.standardisation.frames))
        probabilities = bundle.predict(*own)
        numbers = bundle.estimate(*own).columns(known)
    chosen = bundle.choose(probabilities) if bundle.classes else None
    shares = trained_shares(bundle)
    scores = judge(judged, probabilities, numbers, bundle.classes, shares, EvaluateParams(), chosen)
    nothing = int((~np.stack(list(present.values())).any(axis=0)).sum())
    if nothing:
        scores["nothing_to_go_by"] = nothing
    if learned_from := bundle.extra.get("about", {}).get(TRANSDUCTIVE):
        scores[TRANSDUCTIVE] = learned_from
    table = rows[["clip_id", "group", "actual"]].assign(
        **{f"p_{name}": probabilities[:, c] for c, name in enumerate(bundle.classes)},
        predicted=None if chosen is None else np.array(bundle.classes, object)[chosen],
        **numbers,
    )
    return scores, table


def trained_shares(bundle: Bundle) -> NDArray[np.float64]:
    """Shares [C] of the classes among the labels that a bundle learned from: its own word, or what its vote took for
    them."""
    counts = bundle.extra.get("about", {}).get("labels")
    if isinstance(counts, Mapping) and set(counts) == set(bundle.classes):
        shares = np.array([float(counts[name]) for name in bundle.classes]) + 1.0
    else:
        shares = bundle.vote.log_prior.double().exp().numpy()
    return np.asarray(shares / max(shares.sum(), 1e-12))
