"""Corpus layouts: how a data set lies on disk, read into clips, texts and labels."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mer import clips
from mer.errors import MerError
from mer.layouts import (
    audformat,
    crema_d,
    emobox,
    emodb,
    folder,
    iemocap,
    mead,
    meld,
    mer2023,
    mer2024,
    mer2025,
    mer2026,
    mertools,
    mmsa,
    mmsa_features,
    ravdess,
)
from mer.layouts.base import Corpus, Layout
from mer.layouts.recognise import folders, hint, recognise
from mer.params import CorpusParams

__all__ = ["LAYOUTS", "Corpus", "Layout", "read_corpus"]


def _recognised(params: CorpusParams, prefer: str) -> Corpus:
    """Read a folder in the layout that it is recognised to have."""
    layout, seen = recognise(Path(params.root), params)
    corpus = LAYOUTS[layout](params, prefer)
    corpus.notes.about.insert(0, f"recognised as {layout} by {seen}")
    return corpus


LAYOUTS: dict[str, Layout] = {
    "auto": _recognised,
    "folder": folder.read,
    "mer2023": mer2023.read,
    "mer2024": mer2024.read,
    "mer2025": mer2025.read,
    "mer2026": mer2026.read,
    "meld": meld.read,
    "iemocap": iemocap.read,
    "ch-sims": mmsa.read,
    "ch-sims-v2": mmsa.read,
    "mosi": mmsa.read,
    "mosei": mmsa.read,
    "crema-d": crema_d.read,
    "ravdess": ravdess.read,
    "mead": mead.read,
    "emodb": emodb.read,
    "emobox": emobox.read,
    "audformat": audformat.read,
    "mertools": mertools.read,
    "mmsa": mmsa_features.read,
}
"""Every layout that `corpus.layout` can name."""


def read_corpus(params: CorpusParams, *, prefer: str = "chinese") -> Corpus:
    """Read the corpus at `corpus.root`.

    Args:
        prefer: language of the transcripts, where the corpus has them in several.

    Raises:
        MerError: a file or column is missing, or a row is wrong; the line names the file and the row. Where a folder
            above or below is in the layout, it says so.
    """
    root = Path(params.root)
    if not root.is_dir():
        raise MerError(f"corpus.root: there is no folder '{params.root}'{_whence(params.root)}")
    try:
        corpus = LAYOUTS[params.layout](params, prefer)
    except MerError as error:
        raise MerError(f"{error}{_other_folder(root, params)}") from None
    _refuse_empty(corpus, root, params, prefer)
    try:
        clips.check(corpus.table.rows, corpus.table.classes, source=params.root)
    except MerError as error:
        raise MerError(f"{error}{_other_folder(root, params)}") from None
    return corpus


def _refuse_empty(corpus: Corpus, root: Path, params: CorpusParams, prefer: str) -> None:
    """Where nothing is left to learn from, what the layout noted says why, and perhaps another folder was meant."""
    if (corpus.table.rows["split"] == "labeled").any():
        return
    what = "no clips found" if corpus.table.rows.empty else "no clip has a label, so there is nothing to learn from"
    why = "".join(f"; {line}" for line in corpus.notes.lines())
    raise MerError(f"{params.root}: {what}{why}{_other_folder(root, params) or _fuller(root, params, prefer)}")


def _fuller(root: Path, params: CorpusParams, prefer: str) -> str:
    """A folder below that has what this one lacks."""
    for place in folders(root)[:50]:
        with suppress(MerError, OSError):
            corpus = LAYOUTS[params.layout](params.model_copy(update={"root": str(place)}), prefer)
            if labeled := int((corpus.table.rows["split"] == "labeled").sum()):
                return f"; {place} has {labeled} labeled clips: is it the one to name in corpus.root?"
    return ""


def _other_folder(root: Path, params: CorpusParams) -> str:
    """A hint where the folder itself has not the signs of its layout."""
    if params.layout == "auto":
        return ""
    try:
        recognised = recognise(root, params)[0]
    except (MerError, OSError):
        return hint(root, params, params.layout)
    return "" if recognised == params.layout else hint(root, params, params.layout)


def _whence(root: str) -> str:
    """What a relative root was looked up in, and why it may have been there a moment ago."""
    if Path(root).is_absolute():
        return ""
    return (
        f" in {Path.cwd()}; experiments with --temp or --queue run in a copy of the workspace that lacks untracked "
        "folders: give the absolute path"
    )
