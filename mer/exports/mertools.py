"""A run's views in MERTools' form: what `mer.imports.folders` and `mer.imports.labels` read.

    features/<view>-UTT/<clip>.npy     float32 [D]; zeros where the clip lacks the modality, as MERTools has it
    features/<view>-FRA/<clip>.npy     float16 [T, D], where frames are asked for
    label-<n>way.npz                   train_corpus, test1_corpus: name -> {emo, val}
    unlabeled.csv                      names of the clips without a known label

MERTools reads its labels with `allow_pickle=True`; the pickles in ours are dictionaries of text and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer.errors import MerError
from mer.exports.run import RunTables, View
from mer.exports.writing import appearing


def write_mertools(run: RunTables, views: Sequence[str], target: Path, *, frames: bool = False) -> list[str]:
    """Write the folder `target`; gives lines on what it holds.

    Raises:
        MerError: a clip's name is no file name, a view is missing, or `target` is there already.
    """
    check_names(run.clip_ids)
    lines: list[str] = []
    with appearing(target) as folder:
        for name in views:
            lines += _write_view(run.view(name, frames=frames), folder / "features", target / "features")
        lines += _write_labels(run, folder, target)
    return lines


def check_names(clip_ids: Sequence[str]) -> None:
    """Raise `MerError` naming the first clip that no file can be called by, or that readers pass over."""
    for clip_id in clip_ids:
        if "/" in clip_id or "\0" in clip_id or clip_id.startswith("."):
            raise MerError(f"clip '{clip_id}': MERTools' names are those of files, and this is none; use --to mmsa")


def _write_view(view: View, folder: Path, shown: Path) -> Iterator[str]:
    table = view.utterances
    out = folder / f"{view.name}-UTT"
    out.mkdir(parents=True)
    for clip_id, embedding in zip(table.clip_ids, table.embeddings, strict=True):
        np.save(out / f"{clip_id}.npy", embedding, allow_pickle=False)
    absent = int((~table.ok).sum())
    width = table.embeddings.shape[1]
    yield f"{shown / out.name}: {len(table.clip_ids)} clips [{width}], {absent} of them zeros (absent)"
    if view.frames is None:
        return
    out = folder / f"{view.name}-FRA"
    out.mkdir()
    for row, clip_id in enumerate(table.clip_ids):
        values = view.frames[row]
        np.save(out / f"{clip_id}.npy", values if len(values) else np.zeros((1, width), "<f2"), allow_pickle=False)
    yield f"{shown / out.name}: {len(table.clip_ids)} clips [T, {width}]"


def _write_labels(run: RunTables, folder: Path, shown: Path) -> Iterator[str]:
    value = next(iter(run.targets.values()), {})

    def corpus(split: str) -> dict[str, dict[str, Any]]:
        return {clip: {"emo": run.label(clip) or "", "val": value.get(clip, "")} for clip in run.known(split)}

    parts = {"train_corpus": corpus("labeled"), "test1_corpus": corpus("test")}
    name = f"label-{len(run.classes)}way.npz"
    np.savez(folder / name, **{part: np.array(of, object) for part, of in parts.items()})  # type: ignore[arg-type]
    bare = [clip for clip in run.clip_ids if not any(clip in of for of in parts.values())]
    (folder / "unlabeled.csv").write_text(
        "".join(f"{clip}\n" for clip in ["name", *map(_cell, bare)]), encoding="utf-8"
    )
    counts = ", ".join(f"{part} {len(of)}" for part, of in parts.items())
    named = f"; 'val' is {next(iter(run.targets))}" if run.targets else ""
    yield f"{shown / name}: {counts}{named}; {len(bare)} clips without a label in unlabeled.csv"


def _cell(text: str) -> str:
    """A cell of a CSV file."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(letter in text for letter in '",\n\r') else text
