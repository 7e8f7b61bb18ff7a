"""What views are worth, and what they cost.

    python -m benchmarks.views worth --corpus enjoyment  # MERTools' folders, frames and utterances; or mosi, meld
    python -m benchmarks.views noise --corpus mosi       # a view of noise beside them, over ten draws
    python -m benchmarks.views cost                      # CPU seconds and memory by number of views, an epoch, a step
    python -m benchmarks.views cost --clips 130000 --views 9

Scores are weighted-F1 out of fold: five folds by participant, video or dialogue. `worth` and `noise` need the real data
of ../shared/data, or where MER_SHARED_DATA points.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.corpora import load_corpus, shared_data
from mer.clips.folds import assign_folds
from mer.extraction.imports import pooled
from mer.imports import open_source
from mer.learning.features import FeatureSet
from mer.params import parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.results import weighted_f1
from mer.self_training.self_train import self_train

DRAWS = 10
Array = NDArray[np.float32]
Read = tuple[dict[str, tuple[str, Array]], pd.Series, pd.Series]
"""Views, name -> (modality, values [N, D]), with labels and groups of the clips."""


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


def read_enjoyment() -> Read:
    """The 590 exchanges; frames pooled in both ways."""
    root = shared_data() / "enjoyment"
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


def read_table(name: str, **view_of: tuple[str, str]) -> Read:
    """A corpus of `benchmarks.corpora`: name of a view -> its modality, and what it stands for there."""
    corpus = load_corpus(name)
    labels = pd.Series([corpus.classes[code] for code in corpus.labels], [f"c{i}" for i in range(len(corpus.labels))])
    views = {view: (modality, corpus.views[place]) for view, (modality, place) in view_of.items()}
    return views, labels, pd.Series(corpus.groups)


CORPORA: dict[str, Callable[[], Read]] = {
    "enjoyment": read_enjoyment,
    "mosi": lambda: read_table("mosi", audio=("audio", "audio"), minilm=("text", "text")),
    "meld": lambda: read_table("meld", ngrams=("text", "face"), minilm=("text", "text")),
}
PAIR = ("egemaps", "pyfeat, mean_std")
"""The two of `enjoyment`'s views that are not poolings of the same frames."""


def worth(name: str, seeds: int, kinds: Sequence[str]) -> None:
    views, labels, groups = CORPORA[name]()
    choices = [[one] for one in views] + ([list(PAIR)] if name == "enjoyment" else []) + [list(views)]
    for names in choices:
        own = {view: views[view] for view in names}
        for kind in kinds:
            found = [
                score(feature_set(own, labels, groups, seed), model={"kind": kind}, pretrain={"seed": seed})
                for seed in range(seeds)
            ]
            told = f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})"
            print(f"{name}: {' + '.join(names)}, {kind}: {told}", flush=True)


def noise(name: str, seeds: int, kinds: Sequence[str]) -> None:
    views, labels, groups = CORPORA[name]()
    own = {view: views[view] for view in PAIR} if name == "enjoyment" else views
    beside = "face" if name == "enjoyment" else "text"
    before: dict[tuple[str, int], float] = {}
    for kind in kinds:
        for chosen in ("all", "auto"):
            lost = []
            for draw in range(DRAWS):
                extra = np.random.default_rng(draw).normal(size=(len(labels), 60)).astype(np.float32)
                settings = {"self_train": {"views": chosen}, "model": {"kind": kind}}
                seed = draw % seeds
                if (kind, seed) not in before:
                    before[kind, seed] = score(feature_set(own, labels, groups, seed), model={"kind": kind})
                noisy = feature_set({**own, "noise": (beside, extra)}, labels, groups, seed)
                lost.append(before[kind, seed] - score(noisy, **settings))
            told = f"{np.mean(lost):+.4f} (worst {max(lost):+.4f}, best {min(lost):+.4f})"
            print(f"{name}, {kind}, self_train.views {chosen}: a view of noise costs {told}", flush=True)


def cost(clips: int, numbers: Sequence[int], width: int) -> None:
    for number in numbers:
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
        start = time.process_time()
        pretrained = pretrain(features, params)
        middle = time.process_time()
        self_train(features, pretrained, params)
        end = time.process_time()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = f"pretrain {middle - start:.1f} s, self-train {end - middle:.1f} s, at most {memory:.2f} GB so far"
        print(f"{clips} clips, {number} views of {width}: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["worth", "noise", "cost"])
    parser.add_argument("--corpus", choices=list(CORPORA), default="enjoyment")
    parser.add_argument("--kinds", nargs="+", choices=["logistic", "mrccl"], default=["logistic", "mrccl"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 5, 9])
    parser.add_argument("--width", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost(arguments.clips, arguments.views, arguments.width)
    else:
        {"worth": worth, "noise": noise}[arguments.what](arguments.corpus, arguments.seeds, arguments.kinds)


if __name__ == "__main__":
    main()
