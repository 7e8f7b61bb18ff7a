"""A bundle that learned from text alone, in a moment, with all that prediction needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mer.about import describe
from mer.clips import ClipTable
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.settings import deciding
from mer.learning.features import build_feature_set
from mer.params import Params, TextParams
from mer.pretraining.pretrain import pretrain
from mer.provenance import save_bundle
from mer.self_training.train import train
from mer.store.manifest import Made, write_manifest
from mer.store.tables import UtteranceTable

TEXTS = {"happy": "太好了真开心", "sad": "我很难过想哭", "angry": "你给我出去闭嘴"}


def write_manifests(data: Path, params: Params, text: str) -> None:
    """Manifests of no clips: what made the features is what counts here."""
    empty: dict[str, list[object]] = {name: [] for name in ("clip_id", "key", "ok", "error", "message")}
    for name, made in {
        "decode": Made("decode", "decoded", "av 1", deciding(params.decode)),
        "transcripts": Made("transcribe", "none", "none", deciding(params.transcribe)),
        "text": Made("extract@text", text, "tfidf", deciding(params.views["text"])),
    }.items():
        write_manifest(data / "manifests" / f"{name}.parquet", empty, made)


VALENCE = {"happy": 2.0, "sad": -1.5, "angry": -3.0}
"""Of what is said, before noise."""


def text_bundle(
    folder: Path, normalise: str = "corpus", *, targets: tuple[str, ...] = (), classes: bool = True
) -> Path:
    """Train and save `folder/bundle`; standardised within three groups where `normalise` says `group`.

    With `targets` it learns numbers that follow `VALENCE`, each ten times as large as the one before, and has an
    unlabeled clip of each text last; without `classes` it learns these numbers alone. Clips and predictions lie beside
    the bundle as `clips.parquet` and `predictions.parquet`.
    """
    params = Params.model_validate(
        {
            "corpus": {"target": list(targets) or None},
            "model": {"modalities": ["text"], "width": 8, "heads": 2, "normalise": [normalise]},
            "pretrain": {"epochs": 1},
            "self_train": {"rounds": 0, "steps": 60, "seeds": 1, "learning_rate": 0.01},
            "views": {"text": {"modality": "text", "dimensions": 6}},
        }
    )
    labels = [name for name in TEXTS for _ in range(9)] + (list(TEXTS) if targets else [])
    texts = [TEXTS[label] for label in labels]
    view = params.views["text"]
    assert isinstance(view, TextParams)
    encoder = TfidfTextEncoder.fit(texts, view)
    encoder.save(folder / "features/text/encoder")
    write_manifests(folder, params, encoder.fingerprint)
    clip_ids = [f"clip{i}" for i in range(len(labels))]
    rows = pd.DataFrame({"clip_id": clip_ids, "path": clip_ids, "split": "labeled", "label": labels})
    groups = [f"speaker{i % 3}" for i in range(len(labels))] if normalise == "group" else None
    rows = rows.assign(group=groups, transcript=texts, fold=np.arange(len(labels)) % 3)
    if targets:
        rows.loc[rows.index[-len(TEXTS) :], "split"] = "unlabeled"
    noise = np.random.default_rng(0).normal(size=len(labels))
    for k, name in enumerate(targets):
        rows[f"target_{name}"] = 10**k * (np.array([VALENCE[label] for label in labels]) + 0.2 * noise)
    found = encoder.encode(texts)
    table = UtteranceTable(
        clip_ids,
        np.stack([of.embedding for of in found]),
        np.array([of.frames for of in found], np.int32),
        np.array([of.ok for of in found]),
    )
    clips = ClipTable(rows if classes else rows.assign(label=None), tuple(TEXTS) if classes else ())
    features = build_feature_set(clips, {"text": table})
    trained = train(features, pretrain(features, params), params)
    rows.to_parquet(folder / "clips.parquet")
    trained.predictions.to_parquet(folder / "predictions.parquet")
    about = describe(params, features, trained.predictions)
    save_bundle(folder / "bundle", trained.bundle, params, folder, about)
    return folder / "bundle"
