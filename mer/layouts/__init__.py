"""Corpus layouts: how a data set lies on disk, read into clips, texts and labels."""

from __future__ import annotations

from pathlib import Path

from mer import clips
from mer.errors import MerError
from mer.layouts import folder, meld, mer2023, mer2024, mer2025, mer2026
from mer.layouts.base import Corpus, Layout
from mer.params import CorpusParams

__all__ = ["LAYOUTS", "Corpus", "Layout", "read_corpus"]

LAYOUTS: dict[str, Layout] = {
    "folder": folder.read,
    "mer2023": mer2023.read,
    "mer2024": mer2024.read,
    "mer2025": mer2025.read,
    "mer2026": mer2026.read,
    "meld": meld.read,
}
"""Every layout that `corpus.layout` can name."""


def read_corpus(params: CorpusParams, *, prefer: str = "chinese") -> Corpus:
    """Read the corpus at `corpus.root`.

    Args:
        prefer: language of the transcripts, where the corpus has them in several.

    Raises:
        MerError: a file or column is missing, or a row is wrong; the line names the file and the row.
    """
    if not Path(params.root).is_dir():
        raise MerError(f"corpus.root: there is no folder '{params.root}'{_whence(params.root)}")
    corpus = LAYOUTS[params.layout](params, prefer)
    clips.check(corpus.table.rows, corpus.table.classes, source=params.root)
    if not (corpus.table.rows["split"] == "labeled").any():
        raise MerError(f"{params.root}: no clip has a label, so there is nothing to learn from")
    return corpus


def _whence(root: str) -> str:
    """What a relative root was looked up in, and why it may have been there a moment ago."""
    if Path(root).is_absolute():
        return ""
    return (
        f" in {Path.cwd()}; experiments with --temp or --queue run in a copy of the workspace that lacks untracked "
        "folders: give the absolute path"
    )
