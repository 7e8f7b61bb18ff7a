"""What views are worth, and what they cost.

    python -m benchmarks.views enjoyment    # MERTools' folders, frames and utterances, 5-fold by participant
    python -m benchmarks.views noise        # a view of noise beside them, over ten draws
    python -m benchmarks.views cost         # seconds and memory by number of views, one epoch and one step
    python -m benchmarks.views cost --clips 130000 --views 9

`enjoyment` and `noise` need the real data of ../shared/data, or where MER_SHARED_DATA points.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips.folds import assign_folds
from mer.extraction.imports import pooled
from mer.imports import open_source
from mer.learning.features import FeatureSet
from mer.params import parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.self_train import self_train, weighted_f1

SHARED = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[2] / "shared/data"))
DRAWS = 10
Array = NDArray[np.float32]


def feature_set(views: Mapping[str, tuple[str, Array]], labels: pd.Series, groups: pd.Series, seed: int) -> FeatureSet:
    """All clips labeled, five folds by group; views are name -> (modality, values [N, D])."""
    rows = pd.DataFrame({"clip_id": labels.index, "split": "labeled", "label": labels.to_numpy()})
    rows = rows.assign(group=groups.to_numpy(), fold=None)
    folds = assign_folds(rows, 5, seed)
    classes = tuple(sorted(set(labels)))
    return FeatureSet(
        clip_ids=rows["clip_id"].to_numpy(object),
        split=rows["split"].to_numpy(object),
        labels=rows["label"].map({name: i for i, name in enumerate(classes)}).to_numpy(np.int64),
        groups=rows["group"].to_numpy(object),
        folds=np.asarray(folds, np.int64),
        classes=classes,
        features={name: values for name, (_, values) in views.items()},
        present={name: np.ones(len(values), bool) for name, (_, values) in views.items()},
        modality={name: modality for name, (modality, _) in views.items()},
    )


def score(features: FeatureSet, **sections: Mapping[str, Any]) -> float:
    """Weighted-F1 out of fold."""
    model = {"modalities": list(features.modalities), "kind": "logistic", **sections.get("model", {})}
    params = parse_params({**sections, "model": model})
    found = self_train(features, pretrain(features, params), params).predictions
    names = {name: i for i, name in enumerate(features.classes)}
    predicted = found["predicted"].map(names).to_numpy()
    return weighted_f1(features.labels, np.asarray(predicted, np.int64))


def read_enjoyment() -> tuple[dict[str, tuple[str, Array]], pd.Series, pd.Series]:
    """Views of the 590 exchanges, their labels and participants; frames pooled in both ways."""
    root = SHARED / "enjoyment"
    if not root.is_dir():
        sys.exit(f"{root}: not there; the corpus comes with the shared data")
    rows = pd.read_csv(root / "labels.csv", dtype=str, keep_default_na=False).set_index("name")
    frames, voice = open_source(root / "features/pyfeat-FRA"), open_source(root / "features/egemaps_UTT")
    values = {name: frames.read(name) for name in rows.index}
    views: dict[str, tuple[str, Array]] = {}
    for way in ("mean", "mean_std"):
        stacked = np.stack([pooled(of, way) for of in values.values() if of is not None])
        views[f"pyfeat, {way}"] = ("face", stacked)
    views["egemaps"] = ("audio", np.stack([of for of in map(voice.read, rows.index) if of is not None]))
    return views, rows["discrete"], rows["participant"]


def enjoyment(seeds: int) -> None:
    views, labels, participants = read_enjoyment()
    for names in (["egemaps"], ["pyfeat, mean"], ["pyfeat, mean_std"], ["egemaps", "pyfeat, mean_std"], list(views)):
        own = {name: views[name] for name in names}
        for kind in ("logistic", "mrccl"):
            found = [
                score(feature_set(own, labels, participants, seed), model={"kind": kind}, pretrain={"seed": seed})
                for seed in range(seeds)
            ]
            print(
                f"{' + '.join(names)}, {kind}: {np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})", flush=True
            )


def noise(seeds: int) -> None:
    views, labels, participants = read_enjoyment()
    own = {name: views[name] for name in ("egemaps", "pyfeat, mean_std")}
    for chosen in ("all", "auto"):
        lost = []
        for draw in range(DRAWS):
            extra = np.random.default_rng(draw).normal(size=(len(labels), 60)).astype(np.float32)
            settings = {"self_train": {"views": chosen}}
            before = score(feature_set(own, labels, participants, draw % seeds), **settings)
            noisy = feature_set({**own, "noise": ("face", extra)}, labels, participants, draw % seeds)
            lost.append(before - score(noisy, **settings))
        print(
            f"self_train.views {chosen}: a view of noise costs {np.mean(lost):+.4f} (worst {max(lost):+.4f})",
            flush=True,
        )


def cost(clips: int, most: int, width: int) -> None:
    for number in sorted({1, (most + 1) // 2, most}):
        rng = np.random.default_rng(0)
        modalities = ("audio", "face", "text")
        views = {
            f"view{i}": (modalities[3 * i // max(number, 3)], rng.standard_normal((clips, width), np.float32))
            for i in range(number)
        }
        labels = pd.Series(rng.choice(["happy", "sad", "angry"], clips), index=[f"c{i}" for i in range(clips)])
        features = feature_set(views, labels, pd.Series([f"g{i % 50}" for i in range(clips)]), 0)
        split = np.where(np.arange(clips) < min(5000, clips // 2), "labeled", "unlabeled").astype(object)
        known = split == "labeled"
        labeled = {"labels": np.where(known, features.labels, -1), "folds": np.where(known, features.folds, -1)}
        features = FeatureSet(**{**vars(features), "split": split, **labeled})
        model = {"modalities": list(features.modalities), "normalise": ["corpus"]}
        steps = {"pretrain": {"epochs": 1}, "self_train": {"steps": 1, "rounds": 1}}
        params = parse_params({"model": model, **steps})
        start = time.perf_counter()
        pretrained = pretrain(features, params)
        middle = time.perf_counter()
        self_train(features, pretrained, params)
        end = time.perf_counter()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = f"pretrain {middle - start:.1f} s, self-train {end - middle:.1f} s, at most {memory:.2f} GB so far"
        print(f"{clips} clips, {number} views of {width}: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["enjoyment", "noise", "cost"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--views", type=int, default=9)
    parser.add_argument("--width", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost(arguments.clips, arguments.views, arguments.width)
    else:
        {"enjoyment": enjoyment, "noise": noise}[arguments.what](arguments.seeds)


if __name__ == "__main__":
    main()
