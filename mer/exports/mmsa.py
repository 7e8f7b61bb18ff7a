"""A run's views in MMSA's form: what `mer.imports.mmsa` reads.

{train, valid, test: {id, raw_text, audio, vision, text [N, T, D], *_lengths [N], regression_labels,
                      classification_labels, annotations}}, numpy arrays alone, in a pickle of protocol 4

A view a modality: `vision` are our faces. Utterance vectors are sequences of one frame; frames are padded with zeros
behind to the longest clip's. A clip that lacks a modality has zeros, and length 1. `valid` is the first fold; `test`
the test split where its labels are known, else the second fold. `regression_labels` are the corpus' first target, or
the number of the class where it has none (which is -1 for a clip that has a target alone). Clips without a label, and
`text_bert`, are not in it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.exports.run import RunTables, View
from mer.exports.writing import appearing

KEYS = {"audio": "audio", "face": "vision", "text": "text"}
"""Modality -> MMSA's name of it."""
PROTOCOL = 4
MOST_BYTES = 16 * 2**30
"""Of a file: it is made in memory, padding and all."""


def write_mmsa(run: RunTables, views: Mapping[str, str], target: Path, *, frames: bool = False) -> list[str]:
    """Write the file `target`; gives lines on what it holds.

    Args:
        views: modality -> name of the view that stands for it.

    Raises:
        MerError: a view is missing, no clip has a label, frames would fill the memory, or `target` is there already.
    """
    parts, told = _parts(run)
    rows = {clip: row for row, clip in enumerate(run.clip_ids)}
    content: dict[str, dict[str, Any]] = {split: _labels(run, clips) for split, clips in parts.items()}
    lines = [told]
    for modality, name in views.items():
        view, key = run.view(name, frames=frames), KEYS[modality]
        for split, clips in parts.items():
            where = np.array([rows[clip] for clip in clips], int)
            content[split][key], content[split][f"{key}_lengths"] = _sequences(view, where, _longest(view, parts, rows))
        lines.append(f"'{key}': view {name}, {list(content['train'][key].shape[1:])} a clip")
    with appearing(target) as partial, open(partial, "wb") as file:
        pickle.dump(content, file, PROTOCOL)
    return [f"{target}: {line}" for line in lines]


def choose_views(names: Sequence[str], modality_of: Mapping[str, str]) -> dict[str, str]:
    """One view a modality, of those asked for.

    Raises:
        MerError: a modality has several.
    """
    chosen: dict[str, str] = {}
    for name in names:
        modality = modality_of.get(name)
        if modality is None:
            raise MerError(f"--views: there is no view '{name}' (found: {', '.join(modality_of)})")
        if modality in chosen:
            raise MerError(f"MMSA has one view a modality: '{chosen[modality]}' or '{name}' for {modality}? --views")
        chosen[modality] = name
    return chosen


def _parts(run: RunTables) -> tuple[dict[str, list[str]], str]:
    """The clips of train, valid and test, and a line that says what they are."""
    labeled, test = run.known("labeled"), run.known("test")
    if not labeled or not run.folds:
        raise MerError(f"{run.data}: no labeled clips with folds; MMSA's form has nothing else")
    valid = [clip for clip in labeled if run.folds[clip] == 0]
    told = "valid is fold 0"
    if not test:
        test = [clip for clip in labeled if run.folds[clip] == 1]
        told += ", test is fold 1 (the test split has no known labels)"
    taken = {*valid, *test}
    train = [clip for clip in labeled if clip not in taken]
    parts = {"train": train, "valid": valid, "test": test}
    counts = ", ".join(f"{split} {len(clips)}" for split, clips in parts.items())
    left = len(run.clip_ids) - sum(map(len, parts.values()))
    return parts, f"{counts}; {told}; {left} clips without a label are left out"


def _labels(run: RunTables, clips: Sequence[str]) -> dict[str, Any]:
    labels = [run.label(clip) or "" for clip in clips]
    numbers = [list(run.classes).index(label) if label else -1 for label in labels]
    target = next(iter(run.targets.values()), None)
    values = numbers if target is None else [target.get(clip, np.nan) for clip in clips]
    return {
        "id": np.array(clips, str),
        "raw_text": np.array([run.texts.get(clip) or "" for clip in clips], str),
        "annotations": np.array(labels, str),
        "classification_labels": np.array(numbers, np.int64),
        "regression_labels": np.array(values, np.float32),
    }


def _sequences(view: View, rows: NDArray[np.int64], longest: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Float32 [N, T, D] and lengths [N] of these rows."""
    embeddings = view.utterances.embeddings
    if view.frames is None:
        return np.ascontiguousarray(embeddings[rows, None, :]), np.ones(len(rows), np.int64)
    values = np.zeros((len(rows), longest, embeddings.shape[1]), np.float32)
    lengths = np.ones(len(rows), np.int64)
    for number, row in enumerate(rows):
        found = view.frames[int(row)]
        values[number, : len(found)] = found
        lengths[number] = max(1, len(found))
    return values, lengths


def _longest(view: View, parts: Mapping[str, Sequence[str]], rows: Mapping[str, int]) -> int:
    """Frames of the longest clip, of all splits: MMSA takes one length."""
    if view.frames is None:
        return 1
    lengths = np.diff(view.frames.offsets)
    used = [rows[clip] for clips in parts.values() for clip in clips]
    longest = max(1, int(lengths[used].max()))
    size = 4 * len(used) * longest * view.utterances.embeddings.shape[1]
    if size > MOST_BYTES:
        raise MerError(
            f"frames of '{view.name}', padded to {longest}, would be {size / 2**30:.0f} GB in memory; leave --frames "
            "out, or use --to mertools"
        )
    return longest
