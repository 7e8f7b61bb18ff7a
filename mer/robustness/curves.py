"""What the trained bundle, and trainings to compare it with, predict for test clips in every condition."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips import read_groups, read_splits, read_texts
from mer.errors import MerError
from mer.extraction.elsewhere import encoded, frames_of, tolerant
from mer.extraction.media import Media, open_media
from mer.extraction.transcript_table import read_transcripts
from mer.learning.features import FeatureSet, read_labeled_features
from mer.learning.frames import FrameFeatures, FrameList, some_of
from mer.params import Params, RobustnessParams
from mer.pretraining.pretrain import load_pretrained
from mer.provenance import Provenance, read_provenance
from mer.robustness.conditions import ROWS, WORDS, Condition, as_row, conditions
from mer.robustness.media import CorruptedMedia, babble_of, recordings
from mer.self_training.bundle import Bundle
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train
from mer.store.tables import FrameTensors, UtteranceTable

Features = dict[str, NDArray[np.float32]]
Present = dict[str, NDArray[np.bool_]]
Frames = dict[str, FrameFeatures]
Noises = dict[str, tuple[str, Sequence[NDArray[np.float32]]]]


@dataclass(frozen=True)
class Scene:
    """What every condition shares: the run's media and features, and what made them; whether a recogniser `hears` the
    words, and the `quality` of JPEG frames."""

    wanted: RobustnessParams
    hears: bool
    quality: int
    media: Media
    made: Provenance
    bundle: Bundle
    features: FeatureSet
    noises: Noises
    texts: Mapping[str, str | None]
    transcripts: Mapping[str, str]
    folder: Path

    def under(self, condition: Condition, rows: NDArray[np.int64]) -> tuple[Features, Present]:
        """Features and presence of some clips in a condition; what it does not touch is the run's own."""
        features, present, _ = self.under_with_frames(condition, rows)
        return features, present

    def under_with_frames(self, condition: Condition, rows: NDArray[np.int64]) -> tuple[Features, Present, Frames]:
        """The same, with the frames that the bundle reads."""
        features = {name: x[rows] for name, x in self.features.features.items()}
        present = {name: there[rows] for name, there in self.features.present.items()}
        frames: Frames = {name: some_of(of, rows) for name, of in self.features.frames.items()}
        touched = set(condition.touches)
        of = {name: self.features.modality_of(name) for name in features}
        if "audio" in touched and self.hears:
            touched.add("text")  # what the recogniser hears through the noise
        for name, (table, own) in self._extracted(condition, rows, [v for v in features if of[v] in touched]).items():
            features[name], present[name] = table.embeddings, table.ok
            if own is not None:
                frames[name] = own
        for name in [view for view in features if of[view] in condition.absent]:
            features[name], present[name] = np.zeros_like(features[name]), np.zeros(len(rows), bool)
        return features, present, frames

    def _extracted(
        self, condition: Condition, rows: NDArray[np.int64], views: Sequence[str]
    ) -> dict[str, tuple[UtteranceTable, FrameTensors | None]]:
        if not views:
            return {}
        ids = [str(clip_id) for clip_id in self.features.clip_ids[rows]]
        if condition.kind == WORDS:
            texts: dict[str, str | None] = {clip_id: condition.text(self.transcripts[clip_id]) for clip_id in ids}
        else:
            texts = {clip_id: self.texts[clip_id] for clip_id in ids}
        with tempfile.TemporaryDirectory(prefix="mer-robustness-") as scratch:
            media = CorruptedMedia(self.media, condition, ids, Path(scratch), self.quality)
            tables = encoded(media, texts, self.made, views, self.folder)
            frames = frames_of(media, [name for name in views if name in self.features.frames])
        return {name: (table, frames.get(name)) for name, table in tables.items()}  # a map outlives its file's name


def robustness(params: Params, data: Path = Path("data")) -> pd.DataFrame:
    """What is predicted for each clip of the test split: a row (`ROWS`) a training, condition and clip.

    No label of the test split is looked at here: evaluation scores the rows.

    Raises:
        MerError: there is no test split: of all other clips the bundle has seen the label; or an encoder is not there.
    """
    scene = _scene(params, data)
    rows = np.flatnonzero(scene.features.split == "test")
    if not len(rows):
        raise MerError(
            "'robustness.run': the corpus has no test split, and the bundle has learned all other labels; give some "
            "clips 'test' in the column 'split'"
        )
    trained = {name: _trained(scene, name, params, data) for name in params.robustness.training}
    found = []
    for condition in conditions(params.robustness, scene.features.modalities, scene.noises):
        features, present, frames = scene.under_with_frames(condition, rows)
        for name, bundle in trained.items():
            probabilities = bundle.predict(features, present, scene.features.groups[rows], frames)
            predicted = np.array(bundle.classes, object)[bundle.choose(probabilities)]
            columns = {"clip_id": scene.features.clip_ids[rows], "predicted": predicted}
            found.append(pd.DataFrame({"training": name, **as_row(condition), **columns}))
    return pd.concat(found, ignore_index=True)[ROWS].astype({"level": "float64"})


def _scene(params: Params, data: Path) -> Scene:
    folder, media = data / "models" / "bundle", open_media(params, data)
    bundle = load_bundle(folder)
    if not bundle.classes:
        raise MerError("'robustness.run': the bundle has no classes, and weighted-F1 is theirs")
    made = read_provenance(bundle.extra, folder, {})
    made = replace(made, params=tolerant(made.params).model_copy(update={"compute": params.compute}))
    splits = read_splits(data / "splits.parquet").merge(read_groups(data / "groups.parquet"), on="clip_id")
    wanted, noises = params.robustness, Noises()
    if wanted.noise_files:
        noises["files"] = recordings(wanted.noise_files, params.decode)
    if "babble" in wanted.noise or (wanted.mer_noise and not wanted.noise_files):
        noises["babble"] = babble_of(media, splits, wanted.seed)
    return Scene(
        wanted,
        params.transcribe.asr is not None,
        params.decode.jpeg_quality,
        media,
        made,
        bundle,
        read_labeled_features(bundle.model.modalities, data, frames=bundle.model.reads_frames),
        noises,
        read_texts(data / "corpus_text.parquet"),
        read_transcripts(data / "transcripts.parquet"),
        folder,
    )


def _trained(scene: Scene, training: str, params: Params, data: Path) -> Bundle:
    """The bundle as it is, or one that learns under noise, without modalities, or both."""
    if training == "plain":
        return scene.bundle
    features = scene.features
    if training in ("modality_dropout", "both") and not params.self_train.modality_dropout:
        settings = params.self_train.model_copy(update={"modality_dropout": HIDDEN})
        params = params.model_copy(update={"self_train": settings})
    if training in ("noise", "both"):
        features = with_noisy_copies(scene)
    return self_train(features, load_pretrained(data / "models" / "pretrained.safetensors"), params).bundle


HIDDEN = 0.3
"""Share of the modalities that training hides, where `self_train.modality_dropout` does not say."""


def with_noisy_copies(scene: Scene) -> FeatureSet:
    """The clips, and after them a noisy copy of each labeled one, in the same fold and group.

    Kinds of noise and SNRs are dealt out in turn. A copy never leaves its clip's fold: no model is judged on a clip of
    which it knows the copy.
    """
    features, wanted = scene.features, scene.wanted
    rows = np.flatnonzero(features.split == "labeled")
    kinds = [*wanted.noise, *(["files"] if wanted.noise_files else [])]
    if "audio" not in features.modalities or not kinds:
        raise MerError("'robustness.training': training with noise needs the modality audio, and a kind of noise")
    deals = [(kind, snr) for snr in wanted.train_snr for kind in kinds]
    copied = {name: x[rows].copy() for name, x in features.features.items()}
    present = {name: there[rows].copy() for name, there in features.present.items()}
    frames = {name: [of[int(row)] for row in rows] for name, of in features.frames.items()}
    for turn, (kind, snr) in enumerate(deals):
        own = np.arange(turn, len(rows), len(deals))
        if len(own):
            source, noises = scene.noises.get(kind, ("", ()))
            condition = Condition(kind, snr, (), wanted.seed + 1, source, noises)
            made, there, of = scene.under_with_frames(condition, rows[own])
            for name in copied:
                copied[name][own], present[name][own] = made[name], there[name]
            for name, clips in frames.items():
                for place, at in enumerate(own):
                    clips[at] = of[name][place]
    return replace(
        features,
        clip_ids=np.concatenate([features.clip_ids, features.clip_ids[rows] + " noisy"]),
        split=np.concatenate([features.split, features.split[rows]]),
        labels=np.concatenate([features.labels, features.labels[rows]]),
        groups=np.concatenate([features.groups, features.groups[rows]]),
        folds=np.concatenate([features.folds, features.folds[rows]]),
        features={name: np.concatenate([x, copied[name]]) for name, x in features.features.items()},
        present={name: np.concatenate([x, present[name]]) for name, x in features.present.items()},
        targets={name: np.concatenate([x, x[rows]]) for name, x in features.targets.items()},
        soft=None if features.soft is None else np.concatenate([features.soft, features.soft[rows]]),
        frames={
            name: FrameList([*(of[row] for row in range(len(of))), *frames[name]], of.width)
            for name, of in features.frames.items()
        },
    )
