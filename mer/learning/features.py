"""Utterance features of every clip, row-aligned with splits, labels, groups and folds: what training reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.params import MODALITIES
from mer.params.needs import read_view_list

if TYPE_CHECKING:
    import pandas as pd

    from mer.clips import ClipTable
    from mer.learning.frames import FrameFeatures

# Tables are read with what is imported where they are read: who predicts has none, and pandas takes a second.


class UtteranceFeatures(Protocol):
    """What an utterance table offers: embeddings float32 [N, D] and `ok` bool [N], a row a clip; and maybe how many
    `blocks` of an encoder they hold side by side."""

    @property
    def clip_ids(self) -> Sequence[str]: ...

    @property
    def embeddings(self) -> NDArray[np.float32]: ...

    @property
    def ok(self) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class FeatureSet:
    """N clips with one vector a view.

    `labels` (int64 [N], index into `classes`) are -1 outside the labeled split, whatever the corpus knows: no other
    label ever gets in. `folds` (int64 [N]) are those of labeled clips, and of the other clips of their groups; else -1.
    `groups` holds None where the group is unknown. `features` are float32
    [N, D] a view, in the order of their modalities (audio, face, text), not standardised; `present` bool [N] says where
    the view exists. `modality` says whose each view is; one that it leaves out is called as its modality.
    `targets` are numbers to be predicted, float64 [N], not a number where unknown; `soft` float32 [N, C] shares of
    votes, the label's own where a clip has no votes. Both tell nothing outside the labeled split, as labels do not.
    `frames` are those of views whose frames are to be read; they lie in files. `blocks` says how many of an encoder's
    blocks a view holds side by side, where these are to be weighted.
    """

    clip_ids: NDArray[np.object_]
    split: NDArray[np.object_]
    labels: NDArray[np.int64]
    groups: NDArray[np.object_]
    folds: NDArray[np.int64]
    classes: tuple[str, ...]
    features: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.bool_]]
    modality: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    soft: NDArray[np.float32] | None = None
    frames: Mapping[str, FrameFeatures] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views, in order."""
        return tuple(self.features)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that have a view, in order."""
        return tuple(dict.fromkeys(map(self.modality_of, self.features)))

    def modality_of(self, view: str) -> str:
        """Whose view it is."""
        return self.modality.get(view, view)

    def only(self, modalities: Sequence[str]) -> FeatureSet:
        """The same clips seen through the views of some of the modalities.

        Raises:
            MerError: a modality has no features here.
        """
        missing = [name for name in modalities if name not in self.modalities]
        if missing:
            raise MerError(
                f"'model.modalities': no features of '{missing[0]}' (there are: {', '.join(self.modalities)})"
            )
        return self.of_views([name for name in self.features if self.modality_of(name) in modalities])

    def of_views(self, names: Sequence[str]) -> FeatureSet:
        """The same clips seen through some of the views, in the order that they have here."""
        names = [name for name in self.features if name in names]
        return replace(
            self,
            features={name: self.features[name] for name in names},
            present={name: self.present[name] for name in names},
            frames={name: self.frames[name] for name in names if name in self.frames},
            blocks={name: self.blocks[name] for name in names if name in self.blocks},
        )


def read_unlabeled_features(
    modalities: Sequence[str], data: Path = Path("data"), *, frames: bool = False
) -> FeatureSet:
    """Features of all clips with their splits and groups, and without a label: what pretraining may see; with the
    `frames` of views that have them.

    Raises:
        MerError: frames are asked for, and no view has any; or see `build_feature_set`.
    """
    from mer.clips import ClipTable, read_groups, read_splits

    rows = read_splits(data / "splits.parquet").merge(read_groups(data / "groups.parquet"), on="clip_id", how="left")
    return _read(ClipTable(rows.assign(label=None, fold=None), ()), modalities, data, frames)


def read_labeled_features(modalities: Sequence[str], data: Path = Path("data"), *, frames: bool = False) -> FeatureSet:
    """The same, with labels of the labeled split, and folds."""
    from mer.clips import read_folds, read_labels

    labels = read_labels(data / "labels.parquet")
    rows = labels.rows.merge(read_folds(data / "folds.parquet"), on="clip_id", how="left")
    return _read(replace(labels, rows=rows), modalities, data, frames)


def _read(clips: ClipTable, modalities: Sequence[str], data: Path, frames: bool) -> FeatureSet:
    """The views of the modalities, as the `needed` stage lists them."""
    from mer.store.tables import read_utterances

    views = {name: of for name, of in read_view_list(data / "needed").items() if of in modalities}
    tables = {name: read_utterances(data / "features" / name / "utterance.parquet") for name in views}
    found = build_feature_set(clips, tables, views)
    return replace(found, frames=_read_frames(views, found, data)) if frames else found


def _read_frames(views: Sequence[str] | Mapping[str, str], found: FeatureSet, data: Path) -> dict[str, FrameFeatures]:
    """Maps the frames of the views that have them."""
    from mer.store.tables import open_frames

    paths = {name: data / "features" / name / "frames.safetensors" for name in views}
    frames: dict[str, FrameFeatures] = {name: open_frames(path) for name, path in paths.items() if path.exists()}
    if not frames:
        raise MerError(
            f"'model.frame_tokens': no view has frames (views: {', '.join(views)}); set 'views.NAME.frames' to true, "
            "or 'model.frame_tokens' to 0"
        )
    for name, own in frames.items():
        if len(own) != len(found):
            raise MerError(
                f"views.{name}: frames of {len(own)} clips, where the clip table has {len(found)}; run extract@{name} "
                "again"
            )
    return frames


def build_feature_set(
    clips: ClipTable, tables: Mapping[str, UtteranceFeatures], modality: Mapping[str, str] | None = None
) -> FeatureSet:
    """Join the clip table with the utterance tables of its views.

    Args:
        clips: labels are read from its labeled split only.
        tables: view -> utterance table in the clip table's order.
        modality: whose each view is; None where views are called as their modalities.

    Raises:
        MerError: a table's rows are not the clip table's, or it holds infinite values.
    """
    from mer.clips.tables import TARGET

    rows = clips.rows
    clip_ids = rows["clip_id"].to_numpy(dtype=object)
    labeled = (rows["split"] == "labeled").to_numpy()
    index = {name: i for i, name in enumerate(clips.classes)}
    known = rows["label"].map(index).where(labeled).fillna(-1)
    folds = rows["fold"].fillna(-1)
    targets = {
        name: rows[f"{TARGET}{name}"].where(labeled).to_numpy(np.float64, na_value=np.nan) for name in clips.targets
    }
    of = {name: name if modality is None else modality[name] for name in tables}
    features, present, blocks = {}, {}, {}
    for name in sorted(tables, key=lambda view: MODALITIES.index(of[view])):
        _check_rows(name, clip_ids, tables[name])
        features[name] = np.asarray(tables[name].embeddings, np.float32)
        present[name] = np.asarray(tables[name].ok, bool)
        if (number := getattr(tables[name], "blocks", 1)) > 1:
            blocks[name] = number
    return FeatureSet(
        clip_ids=clip_ids,
        split=rows["split"].to_numpy(dtype=object),
        labels=known.to_numpy().astype(np.int64),
        groups=rows["group"].astype(object).where(rows["group"].notna(), None).to_numpy(dtype=object),
        folds=folds.to_numpy().astype(np.int64),
        classes=clips.classes,
        features=features,
        present=present,
        modality=of,
        targets=targets,
        soft=_soft_labels(rows, clips.classes, known.to_numpy().astype(np.int64)),
        blocks=blocks,
    )


def _soft_labels(rows: pd.DataFrame, classes: tuple[str, ...], labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Each clip's votes as shares [N, C], all for its label where it has none; None where no clip has votes."""
    from mer.clips.tables import SOFT

    names = [f"{SOFT}{name}" for name in classes]
    if not classes or not set(names) <= set(rows.columns):
        return None
    votes = rows[names].to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(votes).all(axis=1) & (votes >= 0).all(axis=1) & (votes.sum(axis=1) > 0) & (labels >= 0)
    if not known.any():
        return None
    shares = np.eye(len(classes))[labels]
    shares[known] = votes[known] / votes[known].sum(axis=1, keepdims=True)
    return shares.astype(np.float32)


def _check_rows(name: str, clip_ids: NDArray[np.object_], table: UtteranceFeatures) -> None:
    found = np.asarray(table.clip_ids, dtype=object)
    if len(found) != len(clip_ids):
        raise MerError(f"{name} features: {len(found)} rows for {len(clip_ids)} clips; run extract@{name} again")
    differs = np.flatnonzero(found != clip_ids)
    if len(differs):
        row = differs[0]
        raise MerError(
            f"{name} features: row {row} is clip '{found[row]}' where the clip table has '{clip_ids[row]}'; "
            f"run extract@{name} again"
        )
    infinite = np.isinf(table.embeddings).any(axis=1)
    if infinite.any():
        raise MerError(f"{name} features: clip '{clip_ids[infinite.argmax()]}' has infinite values")


def labeled_rows(features: FeatureSet) -> NDArray[np.int64]:
    """Rows of the labeled split that have a fold.

    Raises:
        MerError: there is none, none has any modality, all have one label, or fewer than three folds are in use.
    """
    rows = np.flatnonzero((features.labels >= 0) & (features.folds >= 0))
    if not len(rows):
        raise MerError("self_train: no clip has both a label and a fold; label some clips of the labeled split")
    check_present(features, rows, "self_train: no labeled clip")
    if len(np.unique(features.labels[rows])) < 2:
        only = features.classes[features.labels[rows[0]]]
        raise MerError(f"self_train: every labeled clip is '{only}'; at least two classes are needed")
    _check_folds(features, rows)
    return rows


def _check_folds(features: FeatureSet, rows: NDArray[np.int64], what: str = "") -> None:
    used = len(np.unique(features.folds[rows]))
    if used < 3:
        raise MerError(
            f"'corpus.folds': {used} folds in use{what}; self-training judges with models that left out two, so 3 are "
            "needed"
        )


def target_rows(features: FeatureSet, names: Sequence[str]) -> NDArray[np.int64]:
    """Rows of the labeled split that have a fold and any of some targets.

    Raises:
        MerError: the corpus lacks a target, no clip has it or all have the same value, one is infinite, no clip has
            any modality, or fewer than three folds are in use.
    """
    foldable = features.folds >= 0
    for name in names:
        if name not in features.targets:
            there = ", ".join(features.targets) or "none"
            raise MerError(f"'corpus.target': the corpus has no target '{name}' (there are: {there})")
        values = features.targets[name][foldable]
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            clip = features.clip_ids[np.flatnonzero(foldable)[infinite[0]]]
            raise MerError(f"self_train: target '{name}' of clip '{clip}' is infinite")
        known = values[~np.isnan(values)]
        if not len(known):
            raise MerError(f"self_train: no clip of the labeled split has a value of target '{name}'")
        if known.min() == known.max():
            raise MerError(
                f"self_train: target '{name}' is {known[0]:g} in every labeled clip; different values are needed"
            )
    values = np.stack([features.targets[name] for name in names], axis=1)
    rows = np.flatnonzero(foldable & ~np.isnan(values).all(axis=1))
    check_present(features, rows, "self_train: no clip with a target")
    for name in names:
        having = np.flatnonzero(foldable & ~np.isnan(features.targets[name])).astype(np.int64)
        _check_folds(features, having, f" by clips with target '{name}'")
    return rows


def check_present(features: FeatureSet, rows: NDArray[np.int64], who: str) -> None:
    """Raise `MerError` where none of some clips has anything to learn from: the result would be chance."""
    if not any(present[rows].any() for present in features.present.values()):
        names = ", ".join(features.views)
        raise MerError(f"{who} has any of the views {names}: what is missing is told in data/quarantine/")


def grouped(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Group names as codes, int64 [N]; -1 where unknown."""
    codes: dict[object, int] = {}
    known = (name is not None and name == name for name in groups)  # a missing name may be NaN
    found = [codes.setdefault(name, len(codes)) if ok else -1 for name, ok in zip(groups, known, strict=True)]
    return np.array(found, np.int64)
