"""Emotion from the Berlin database (EmoDB), speaker left out, for any speech encoder against log-mel statistics.

Features are frozen; a logistic regression on standardised vectors is trained on the other speakers. Its strength is
chosen inside the training speakers, by grouped folds of their own; the speaker left out is never looked at.

    python -m benchmarks.emodb [ENCODER ...] [--layers -4 -3 -2 -1] [--pooling mean_std] [--data EMODB]

ENCODER is a Hugging Face folder or a fairseq .pt.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mer.encoders.speech.features import SpeechFeatures
from mer.errors import MerError
from mer.evaluation.bootstrap import paired_bootstrap
from mer.params import AudioParams

RATE = 16_000
STRENGTHS = [1e-4, 1e-3, 1e-2, 1e-1]
Vectors = NDArray[np.float32]


def read_corpus(folder: Path) -> tuple[pd.DataFrame, list[Vectors]]:
    """The clip table and the waveforms, in its order."""
    clips = pd.read_csv(folder / "clips.csv", dtype=str, keep_default_na=False)
    waveforms = []
    for clip_id in clips["clip_id"]:
        waveform, rate = soundfile.read(folder / "audio" / f"{clip_id}.flac", dtype="float32")
        if rate != RATE:
            raise MerError(f"{clip_id}: {rate} Hz instead of {RATE}")
        waveforms.append(waveform)
    return clips, waveforms


def log_mel_statistics(waveforms: Sequence[Vectors]) -> Vectors:
    """Mean and deviation over time of 64 log-mel bands and of their differences in time, [clips, 256]."""
    return np.stack([_statistics(_log_mel(waveform)) for waveform in waveforms])


def _log_mel(waveform: Vectors, bands: int = 64, size: int = 400, hop: int = 160) -> Vectors:
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    frequencies = np.fft.rfftfreq(512, 1 / RATE)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.log(power @ np.clip(np.minimum(rising, falling), 0, None) + 1e-8).astype(np.float32)


def _statistics(frames: Vectors) -> Vectors:
    steps = np.diff(frames, axis=0)
    return np.concatenate([frames.mean(0), frames.std(0), steps.mean(0), steps.std(0)])


def encode(encoder: str, waveforms: Sequence[Vectors], layers: Sequence[int], pooling: str) -> Vectors:
    features = SpeechFeatures(AudioParams.model_validate({"model": encoder, "layers": layers, "pooling": pooling}))
    runs = [waveforms[start : start + 16] for start in range(0, len(waveforms), 16)]
    return np.stack([one.embedding for run in tqdm(runs, desc=encoder) for one in features.encode(run)])


def left_out_predictions(vectors: Vectors, labels: NDArray[np.str_], speakers: NDArray[np.str_]) -> NDArray[np.str_]:
    """A prediction for each clip from a model that heard none of its speaker."""
    predicted = np.empty_like(labels)
    for train, test in LeaveOneGroupOut().split(vectors, labels, speakers):
        model = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
            {"logisticregression__C": STRENGTHS},
            scoring="f1_weighted",
            cv=GroupKFold(3),
        )
        predicted[test] = model.fit(vectors[train], labels[train], groups=speakers[train]).predict(vectors[test])
    return predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER")
    parser.add_argument("--layers", type=int, nargs="+", default=[-4, -3, -2, -1])
    parser.add_argument("--pooling", choices=("mean", "mean_std"), default="mean_std")
    shared = Path(os.environ.get("MER_SHARED_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=shared / "emodb")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"no EmoDB in {arguments.data}: nothing measured (see --data or MER_SHARED_DATA)")

    clips, waveforms = read_corpus(arguments.data)
    labels, speakers = clips["label"].to_numpy(str), clips["speaker"].to_numpy(str)
    views = {"log-mel statistics": log_mel_statistics(waveforms)}
    for encoder in arguments.encoders:
        views[encoder] = encode(encoder, waveforms, arguments.layers, arguments.pooling)

    emotions = sorted(set(labels))
    print(f"\n{len(clips)} clips, {len(emotions)} emotions, {len(set(speakers))} speakers, each left out once\n")
    print("| features | width | weighted-F1 | deviation over speakers | to the row above, 95 % interval |")
    print("|---|---|---|---|---|")
    above = None
    for name, vectors in views.items():
        predicted = left_out_predictions(vectors, labels, speakers)
        by_speaker = [
            f1_score(labels[speakers == one], predicted[speakers == one], average="weighted")
            for one in np.unique(speakers)
        ]
        overall = f1_score(labels, predicted, average="weighted")
        gain = ""
        if above is not None:  # both on the same speakers, drawn anew
            change = paired_bootstrap(list(labels), [list(above)], [list(predicted)], emotions, groups=clips["speaker"])
            gain = f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
        print(f"| {name} | {vectors.shape[1]} | {overall:.4f} | {np.std(by_speaker):.4f} | {gain} |", flush=True)
        above = predicted


if __name__ == "__main__":
    main()
