"""The forms that a run can be written in, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer.errors import MerError
from mer.exports.mertools import write_mertools
from mer.exports.mmsa import choose_views, write_mmsa
from mer.exports.run import modalities, read_run, view_names

FORMS = ("mertools", "mmsa")


def export(
    data: Path, target: Path, form: str, views: Sequence[str] | None = None, *, frames: bool = False
) -> list[str]:
    """Write the features and labels of a run's `data` folder in another tool's form; gives lines on what was written.

    Args:
        form: one of `FORMS`.
        views: names of views; None for all.
        frames: the frames, too; for MMSA, instead of the utterance vectors.

    Raises:
        MerError: the run lacks a table or a view, or the form has no place for what it holds.
    """
    if form not in FORMS:
        raise MerError(f"--to {form}: {' or '.join(FORMS)}?")
    run = read_run(data)
    names = list(views) if views is not None else view_names(data)
    if not names:
        raise MerError(f"{data / 'features'}: no features; run the pipeline first")
    if form == "mertools":
        return write_mertools(run, names, target, frames=frames)
    return write_mmsa(run, choose_views(names, modalities(data)), target, frames=frames)
