"""Continue HuBERT's masked prediction on a corpus' own speech, without labels.

As HuBERT's second iteration (Hsu et al. 2021, section IV-B): units are k-means clusters of a hidden layer of the
encoder as it was before. Memory holds the units of all frames and a pool of waveforms, never all audio.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from transformers import HubertModel

from mer.encoders.checkpoints.pretrained import quiet
from mer.encoders.speech import SpeechEncoder
from mer.encoders.speech.checkpoint import Checkpoint, convert_checkpoint, digest, read_checkpoint
from mer.errors import MerError
from mer.hubert_adaptation.masked_prediction import MaskedPrediction, train_masked_prediction
from mer.hubert_adaptation.scores import EpochScores
from mer.hubert_adaptation.speech_batches import Utterance
from mer.learning.determinism import deterministic, pick_device
from mer.learning.tensors import read_tensors, write_tensors
from mer.media.rate import SAMPLE_RATE as RATE
from mer.params import AdaptAudioParams

Waveform = NDArray[np.float32]
Clips = Callable[[], Iterable[tuple[str, Waveform]]]
"""Each call gives the same (clip_id, waveform [samples] at 16 kHz in [-1, 1]) pairs in the same order."""

PIECE_SECONDS = 15.0
"""Longer clips are cut into pieces of this length."""
SHORTEST_SECONDS = 0.25
"""A shorter piece is nearly all mask, and left out."""


def adapt_audio(
    clips: Clips,
    params: AdaptAudioParams,
    folder: Path,
    *,
    work: Path,
    on_epoch: Callable[[EpochScores], None] | None = None,
) -> list[EpochScores]:
    """Train the encoder `params.model` on `clips` and write it to `folder` as a Hugging Face folder.

    `work` keeps units and checkpoints: a later call with the same clips, params and encoder goes on from there and
    writes the same bytes. Delete it once `folder` is safe. Returns the training curve.

    Raises:
        MerError: the encoder is not a HuBERT or has no such layer, or there is too little speech for so many units.
    """
    source = read_checkpoint(params.model)
    if source.family != "hubert":
        raise MerError(f"{params.model}: a {source.family}, not a HuBERT (params key adapt_audio.model)")
    device = pick_device(params.device, "adapt_audio.device")
    key = _key(clips, params)
    units = _units(clips, params, SpeechEncoder(source, device=str(device)), work / f"units-{key}.safetensors")
    with deterministic(params.seed):  # a checkpoint may lack the mask embedding, which is then drawn
        model = _trainable(source)
    how = MaskedPrediction(
        units=params.units,
        epochs=params.epochs,
        learning_rate=params.learning_rate,
        batch_seconds=params.batch_seconds,
        seed=params.seed,
    )

    def utterances() -> Iterator[Utterance]:
        for name, piece in pieces(clips()):
            if name in units:
                yield Utterance(_prepared(piece, source.normalize_epsilon), units[name])

    history = train_masked_prediction(
        model, utterances, how, device=device, checkpoint=work / f"training-{key}.safetensors", on_epoch=on_epoch
    )
    _write_folder(model, params.model, folder)
    return history


def pieces(clips: Iterable[tuple[str, Waveform]]) -> Iterator[tuple[str, Waveform]]:
    """Cut long clips; leave out what is too short or silent. A piece is named `<clip_id>@<index>`."""
    length = int(PIECE_SECONDS * RATE)
    for clip_id, waveform in clips:
        for index, start in enumerate(range(0, len(waveform), length)):
            piece = waveform[start : start + length]
            if len(piece) >= SHORTEST_SECONDS * RATE and np.ptp(piece) > 0:
                yield f"{clip_id}@{index}", piece


def _units(clips: Clips, params: AdaptAudioParams, encoder: SpeechEncoder, file: Path) -> dict[str, NDArray[np.int16]]:
    """The unit of each frame of each piece; read from `file` where an earlier call left them."""
    if file.exists():
        tensors, _ = read_tensors(file)
        return {name: tensor.numpy() for name, tensor in tensors.items()}
    layer = _layer(params, encoder.depth)
    kmeans = _fit_units(clips, params, encoder, layer)
    hidden = _hidden(pieces(clips()), encoder, layer, params.batch_seconds)
    units = {name: kmeans.predict(frames).astype(np.int16) for name, frames in hidden}
    write_tensors(file, {name: torch.from_numpy(value) for name, value in units.items()}, {})
    return units


def _fit_units(clips: Clips, params: AdaptAudioParams, encoder: SpeechEncoder, layer: int) -> MiniBatchKMeans:
    """k-means of one layer's frames, on about `fit_frames` of them in pieces drawn at random."""
    total = sum(encoder.frames(len(piece)) for _, piece in pieces(clips()))
    if total < params.units:
        raise MerError(f"'adapt_audio.units': {total} frames of speech are too few for {params.units} units")
    rng = np.random.default_rng(params.seed)
    share = max(params.fit_frames, 10 * params.units) / total
    chosen = ((name, piece) for name, piece in pieces(clips()) if rng.random() < share)
    frames = [frames for _, frames in _hidden(chosen, encoder, layer, params.batch_seconds)]
    kmeans = MiniBatchKMeans(params.units, batch_size=10_000, n_init=3, random_state=params.seed)
    return kmeans.fit(np.concatenate(frames))


def _hidden(
    named: Iterable[tuple[str, Waveform]], encoder: SpeechEncoder, layer: int, batch_seconds: float
) -> Iterator[tuple[str, Waveform]]:
    """One layer's frames [T, D] of each piece, encoded in batches."""
    size = max(1, int(batch_seconds / PIECE_SECONDS))
    remaining = iter(named)
    while batch := list(islice(remaining, size)):
        frames = encoder.summed([piece for _, piece in batch], [layer])
        yield from zip((name for name, _ in batch), frames, strict=True)


def _layer(params: AdaptAudioParams, depth: int) -> int:
    """The block whose frames are clustered; the middle one, as HuBERT's 6th of 12, where params name none."""
    if params.layer is None:
        return (depth - 1) // 2
    if not -depth <= params.layer < depth:
        raise MerError(f"'adapt_audio.layer': {params.model} has {depth} blocks (got {params.layer})")
    return params.layer


def _key(clips: Clips, params: AdaptAudioParams) -> str:
    """Hex digest of what the units follow from: the audio, the encoder, and the params that shape them."""
    key = hashlib.sha256(digest(params.model).encode())
    key.update(params.model_dump_json(include={"layer", "units", "fit_frames", "seed"}).encode())
    for name, piece in pieces(clips()):
        key.update(name.encode() + b"\0" + piece.tobytes())
    return key.hexdigest()[:16]


def _trainable(source: Checkpoint) -> HubertModel:
    """The encoder with its mask embedding, ready for gradients."""
    source.config.apply_spec_augment = True  # or HubertModel ignores the mask
    source.config.mask_time_prob = max(source.config.mask_time_prob, 0.05)  # or it has no mask embedding
    source.config.mask_feature_prob = 0.0
    return source.model().requires_grad_(True)


def _prepared(waveform: Waveform, epsilon: float | None) -> Waveform:
    """At zero mean and unit variance where the encoder was trained so."""
    if epsilon is None:
        return waveform
    return (waveform - waveform.mean()) / np.sqrt(waveform.var() + np.float32(epsilon))


def _write_folder(model: HubertModel, original: str, folder: Path) -> None:
    """The original as a Hugging Face folder, with the new weights; whole or not at all."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    convert_checkpoint(original, part)
    with quiet():
        model.cpu().save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
