"""Train the tiny HuBERT: `python -m sample.train_hubert`, from the root of the repository.

The first iteration of the HuBERT paper: units are k-means clusters of MFCC of the corpus' own speech. No label is read.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from mer.compute.local import cores
from mer.hubert_adaptation.masked_prediction import MaskedPrediction, train_masked_prediction
from mer.hubert_adaptation.mfcc import mfcc_with_deltas
from mer.hubert_adaptation.scores import EpochScores
from mer.hubert_adaptation.speech_batches import Utterance
from mer.running.needed import is_needed, leave_out
from sample.params import HubertParams, load_params
from sample.video import read_audio

THREADS = 1
"""Fixed, as the number of threads changes the last bits of a sum; and one, as layers this small gain little from two,
which spin while they wait for each other and crawl once another process wants a core."""


def train_hubert(params: HubertParams, waveforms: list[NDArray[np.float32]]) -> tuple[HubertModel, list[EpochScores]]:
    """A HuBERT trained on `waveforms`, each [samples] at 16 kHz, and its training curve."""
    utterances = label_with_units(waveforms, params)
    torch.manual_seed(params.seed)
    model = HubertModel(tiny_config(params))
    how = MaskedPrediction(
        units=params.units,
        epochs=params.epochs,
        learning_rate=params.learning_rate,
        batch_seconds=params.batch_seconds,
        seed=params.seed,
        alpha=0.5,  # so short a training needs the visible frames to teach the convolutions
    )
    scores = train_masked_prediction(model, lambda: utterances, how, device=torch.device("cpu"), on_epoch=_print)
    return model, scores


def label_with_units(waveforms: list[NDArray[np.float32]], params: HubertParams) -> list[Utterance]:
    """Number the k-means cluster of each 20 ms frame's MFCC."""
    with threadpool_limits(THREADS), ThreadPoolExecutor(cores()) as pool:  # NumPy lets go of the interpreter
        features = [rows[::2] for rows in pool.map(mfcc_with_deltas, waveforms)]  # 10 ms -> HuBERT's 20 ms
    kmeans = MiniBatchKMeans(params.units, batch_size=10_000, n_init=3, max_no_improvement=20, random_state=params.seed)
    with threadpool_limits(THREADS):
        units = kmeans.fit(np.concatenate(features)).predict(np.concatenate(features))
    ends = np.cumsum([len(f) for f in features])[:-1]
    return [Utterance(w, u) for w, u in zip(waveforms, np.split(units, ends), strict=True)]


def tiny_config(params: HubertParams) -> HubertConfig:
    """HuBERT-base with everything narrower; kernels and strides, and so the frame rate, are its own.

    Layer norm comes before each block, as in HuBERT-large: it learns from the first step on, where norm after the block
    takes epochs to start. The two layers with most samples have half the channels.
    """
    return HubertConfig(
        conv_dim=(params.channels // 2,) * 2 + (params.channels,) * 5,
        do_stable_layer_norm=True,
        hidden_size=params.hidden,
        intermediate_size=4 * params.hidden,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=4,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
    )


def read_speech(corpus: Path) -> list[NDArray[np.float32]]:
    """Sound tracks of all clips in the order of their names, without the silent ones."""
    files = sorted(corpus.glob("video-*/*.mp4"), key=lambda file: file.name)
    with ThreadPoolExecutor(cores()) as pool:
        return [waveform for waveform in pool.map(read_audio, files) if waveform.any()]


def main() -> None:
    if is_needed("hubert"):
        torch.set_num_threads(THREADS)
        model, scores = train_hubert(load_params().hubert, read_speech(Path("sample/corpus")))
        model.save_pretrained("sample/hubert")
        Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False).save_pretrained("sample/hubert")
    else:
        leave_out(Path("sample/hubert"), "hubert")
        scores = []
    with open("sample/hubert_curve.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["epoch", "loss", "accuracy", "majority"], lineterminator="\n")
        rows.writeheader()
        rows.writerows({key: round(value, 5) for key, value in asdict(row).items()} for row in scores)


def _print(scores: EpochScores) -> None:
    print(f"epoch {scores.epoch}: loss {scores.loss:.3f}, masked units right {scores.accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
