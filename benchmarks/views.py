"""What views are worth, and what they cost.

    python -m benchmarks.views worth --corpus enjoyment  # MERTools' folders, frames and utterances; or mosi, meld
    python -m benchmarks.views floors                    # enjoyment: ours beside plain logistic regressions, by folds
    python -m benchmarks.views noise --corpus mosi       # a view of noise beside them, over ten draws
    python -m benchmarks.views cost                      # CPU seconds and memory by number of views, an epoch, a step
    python -m benchmarks.views cost --clips 130000 --views 9
    python -m benchmarks.views frames                    # memory of reading frames, by number of clips
    python -m benchmarks.views blocks --table data/features/audio/utterance.parquet  # EmoDB, layers: all, weighted

Scores are weighted-F1 out of fold: five folds by participant, video or dialogue, whole groups dealt by chance anew for
each seed. `worth`, `noise` and `floors` need the real data of ../shared/data, or where MER_SHARED_DATA points.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.corpora import load_corpus, shared_data
from mer.extraction.imports import pooled
from mer.imports import open_source
from mer.learning.features import FeatureSet
from mer.learning.frames import FrameList
from mer.params import parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.results import weighted_f1
from mer.self_training.self_train import self_train
from mer.store.tables import open_frames, read_utterances, write_frames

DRAWS = 10
TOKENS = 4
"""Of a view's frames."""
BLOCKS = 6
"""Of Whisper-base."""
FRAMES = 100
"""Of a clip, in the measurement of memory."""
Array = NDArray[np.float32]
Read = tuple[dict[str, tuple[str, Array]], pd.Series, pd.Series]
"""Views, name -> (modality, values [N, D]), with labels and groups of the clips."""


def feature_set(
    views: Mapping[str, tuple[str, Array]],
    labels: pd.Series,
    groups: pd.Series,
    seed: int,
    frames: Mapping[str, FrameList] | None = None,
) -> FeatureSet:
    """All clips labeled, five folds by group; views are name -> (modality, values [N, D]).

    The pipeline's own folds are stratified, and few large groups can be dealt so in one way only, whatever the seed.
    """
    rows = pd.DataFrame({"clip_id": labels.index, "split": "labeled", "label": labels.to_numpy()})
    rows = rows.assign(group=groups.to_numpy(), fold=None)
    folds = np.zeros(len(rows), np.int64)
    for fold, (_, own) in enumerate(GroupKFold(5, shuffle=True, random_state=seed).split(rows, groups=rows["group"])):
        folds[own] = fold
    classes = tuple(sorted(set(labels)))
    return FeatureSet(
        clip_ids=rows["clip_id"].to_numpy(object),
        split=rows["split"].to_numpy(object),
        labels=rows["label"].map({name: i for i, name in enumerate(classes)}).to_numpy(np.int64),
        groups=rows["group"].to_numpy(object),
        folds=folds,
        classes=classes,
        features={name: values for name, (_, values) in views.items()},
        present={name: np.ones(len(values), bool) for name, (_, values) in views.items()},
        modality={name: modality for name, (modality, _) in views.items()},
        frames={name: of for name, of in (frames or {}).items() if name in views},
    )


def score(features: FeatureSet, **sections: Mapping[str, Any]) -> float:
    """Weighted-F1 out of fold."""
    return scores(features, **sections)[0]


def scores(features: FeatureSet, **sections: Mapping[str, Any]) -> tuple[float, float]:
    """Weighted-F1 out of fold of the vote, and of what the encoders say alone; NaN where there are none."""
    model = {"modalities": list(features.modalities), "kind": "logistic", **sections.get("model", {})}
    if features.frames:
        model |= {"frame_tokens": TOKENS}
    params = parse_params({**sections, "model": model})
    found = self_train(features, pretrain(features, params), params)
    names = {name: i for i, name in enumerate(features.classes)}
    predicted = found.predictions["predicted"].map(names).to_numpy()
    alone = found.votes[found.votes["expert"].isin([f"mrccl {part}" for part in ("fused", *features.modalities)])]
    last = alone.groupby("clip_id").tail(1).set_index("clip_id").reindex(features.clip_ids)
    said = last[[f"p_{name}" for name in features.classes]].to_numpy(float)
    encoders = float("nan") if not len(alone) else weighted_f1(features.labels, said.argmax(axis=1))
    return weighted_f1(features.labels, np.asarray(predicted, np.int64)), encoders


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
    views["pyfeat, attention"] = views["pyfeat, mean_std"]
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
CHOICES = [["pyfeat, mean"], ["pyfeat, mean_std"], ["pyfeat, attention"], ["egemaps"]]
CHOICES += [["egemaps", f"pyfeat, {way}"] for way in ("mean", "mean_std", "attention")]


def enjoyment_frames() -> dict[str, FrameList]:
    """By view, the frames that encoders read."""
    root = shared_data() / "enjoyment"
    source = open_source(root / "features/pyfeat-FRA")
    names = pd.read_csv(root / "labels.csv", dtype=str, keep_default_na=False)["name"]
    values = [source.read(name) for name in names]
    return {"pyfeat, attention": FrameList(values, next(len(of[0]) for of in values if of is not None))}


def worth(name: str, seeds: int, kinds: Sequence[str]) -> None:
    views, labels, groups = CORPORA[name]()
    frames = enjoyment_frames() if name == "enjoyment" else {}
    choices = CHOICES if name == "enjoyment" else [[one] for one in views] + [list(views)]
    for kind in kinds:
        for names in choices:
            if kind == "logistic" and set(names) & set(frames):
                continue  # it reads vectors
            own = {view: views[view] for view in names}
            found = np.array(
                [
                    scores(
                        feature_set(own, labels, groups, seed, frames), model={"kind": kind}, pretrain={"seed": seed}
                    )
                    for seed in range(seeds)
                ]
            )
            told = [f"{of.mean():.3f} ({of.min():.3f} to {of.max():.3f})" for of in found.T]
            print(f"{name}: {' + '.join(names)}, {kind}: {told[0]}, encoders alone {told[1]}", flush=True)


def floors(seeds: int) -> None:
    """Weighted-F1 on the same folds: plain logistic regressions on both views (C .001, .01 and .1, then balanced), and
    our floor (over the corpus, then in every way to standardise; post-hoc adjustment 0, .5 and 1)."""
    views, labels, groups = read_enjoyment()
    own = {view: views[view] for view in PAIR}
    x = np.concatenate([values for _, values in own.values()], axis=1)
    z, rows = (x - x.mean(axis=0)) / x.std(axis=0), []

    def plain(features: FeatureSet, strength: float, weight: str | None) -> float:
        predicted = np.zeros(len(labels), np.int64)
        for fold in range(5):
            learned = features.folds != fold
            model = LogisticRegression(C=strength, class_weight=weight, max_iter=2000)
            model.fit(z[learned], features.labels[learned])
            predicted[~learned] = model.predict(z[~learned])
        return weighted_f1(features.labels, predicted)

    for seed in range(seeds):
        features = feature_set(own, labels, groups, seed)
        row = [plain(features, strength, weight) for weight in (None, "balanced") for strength in (1e-3, 1e-2, 1e-1)]
        for ways in (["corpus"], ["corpus", "group", "guessed"]):
            for adjustment in (0.0, 0.5, 1.0):
                settings = {"posthoc_adjustment": adjustment}
                row.append(score(features, model={"normalise": ways}, self_train=settings))
        rows.append(row)
        print(f"folds {seed}:", *(f"{of:.3f}" for of in row), flush=True)
    print("mean:", *(f"{of:.3f}" for of in np.mean(rows, axis=0)), flush=True)


def frames(clips: Sequence[int], width: int) -> None:
    """Each number of clips in a process of its own, so that the peak is that of this number."""
    for number in clips:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.views", "one-of-frames", "--clips", str(number)]
            subprocess.run([*command, "--width", str(width), "--folder", folder], check=True)


def one_of_frames(clips: int, width: int, folder: Path) -> None:
    rng, lengths = np.random.default_rng(0), [FRAMES] * clips
    path = folder / "frames.safetensors"
    write_frames(path, (rng.standard_normal((FRAMES, width)).astype(np.float16) for _ in lengths), lengths, width)
    views = {name: (name, rng.standard_normal((clips, 16), np.float32)) for name in ("audio", "face")}
    labels = pd.Series(rng.choice(["happy", "sad"], clips), index=[f"c{i}" for i in range(clips)])
    features = feature_set(views, labels, pd.Series([f"g{i % 50}" for i in range(clips)]), 0)
    features = replace(features, frames={"face": open_frames(path)})
    model = {"modalities": ["audio", "face"], "normalise": ["group"], "frame_tokens": TOKENS}
    params = parse_params({"model": model, "pretrain": {"epochs": 1}, "self_train": {"steps": 1, "rounds": 0}})
    start, done, own = time.process_time(), threading.Event(), [anonymous()]

    def watch() -> None:
        while not done.wait(0.1):
            own.append(anonymous())

    watching = threading.Thread(target=watch)
    watching.start()
    self_train(features, pretrain(features, params), params)
    done.set()
    watching.join()
    told = f"file {path.stat().st_size / 2**30:.2f} GB, {time.process_time() - start:.0f} s"
    print(f"{clips} clips of {FRAMES} frames of {width}: {told}, memory {own[0]:.2f} to {max(own):.2f} GB", flush=True)


def anonymous() -> float:
    """Memory of this process in GB, without pages of mapped files: the system takes those back when it needs them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


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


def blocks(path: Path, seeds: int) -> None:
    """EmoDB by an encoder whose blocks lie side by side in a table: summed, side by side, and weighted."""
    table = read_utterances(path)
    listed = pd.read_csv(shared_data() / "emodb" / "clips.csv", dtype=str, keep_default_na=False)
    clips = listed.set_index("clip_id").loc[table.clip_ids]
    x = table.embeddings.reshape(len(clips), BLOCKS, -1)
    ways = {"the last four summed": x[:, -4:].sum(axis=1), "all summed": x.sum(axis=1)}
    ways |= {"all side by side": table.embeddings, "weighted": table.embeddings}
    for name, values in ways.items():
        found = []
        for seed in range(seeds):
            features = feature_set({"whisper": ("audio", values)}, clips["label"], clips["speaker"], seed)
            if name == "weighted":
                features = replace(features, blocks={"whisper": BLOCKS})
            model = {"kind": "mrccl", "normalise": ["corpus"]}
            found.append(scores(features, model=model, pretrain={"seed": seed}))
        told = [f"{of.mean():.3f} ({of.min():.3f} to {of.max():.3f})" for of in np.array(found).T]
        print(f"emodb, {name}: {told[0]}, encoders alone {told[1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["worth", "noise", "floors", "cost", "frames", "one-of-frames", "blocks"])
    parser.add_argument("--corpus", choices=list(CORPORA), default="enjoyment")
    parser.add_argument("--kinds", nargs="+", choices=["logistic", "mrccl"], default=["logistic", "mrccl"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, nargs="+", default=[3000])
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 5, 9])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost(arguments.clips[0], arguments.views, arguments.width)
    elif arguments.what == "floors":
        floors(arguments.seeds)
    elif arguments.what == "blocks":
        blocks(arguments.table, arguments.seeds)
    elif arguments.what == "frames":
        frames(arguments.clips, arguments.width)
    elif arguments.what == "one-of-frames":
        one_of_frames(arguments.clips[0], arguments.width, arguments.folder)
    else:
        {"worth": worth, "noise": noise}[arguments.what](arguments.corpus, arguments.seeds, arguments.kinds)


if __name__ == "__main__":
    main()
