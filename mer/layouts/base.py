"""What a corpus layout is: a function from a folder on disk to clips, texts and labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.clips.tables import CORPUS_FOLD, SOFT, TARGET
from mer.errors import MerError
from mer.layouts.labels import Labels, Naming, name_labels
from mer.layouts.notes import Notes
from mer.params import CorpusParams


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk: its clips, and apart from them the labels of its test split.

    `table.rows` has the columns `clip_id, path, split, label, group, transcript`, and of the columns that `mer.clips`
    calls parts, of `corpus_fold`, targets and soft labels those that any clip has. `test_labels` has `clip_id, label`
    (and targets and soft labels likewise) and no rows where the labels of the test split are unknown. `notes` say what
    the corpus has beside them.
    """

    table: ClipTable
    test_labels: pd.DataFrame
    notes: Notes = field(default_factory=Notes)


class Clip(TypedDict, total=False):
    """What a layout says of a clip; what it lacks is unknown. What is known of a test clip is put apart."""

    clip_id: str
    path: str
    split: str
    label: str | None
    """In the corpus' words."""
    where: str
    """The file and line that say so, for messages."""
    group: str | None
    transcript: str | None
    fold: str | None
    """Its fold in the corpus' own split, by the name that it has there."""
    start: float | None
    """Seconds from the beginning of the file; so is `end`."""
    end: float | None
    crop: str | None
    """One of `mer.clips.tables.CROPS`."""
    sound: str | None
    """The file with its sound, where that is not the one at `path`."""
    targets: Mapping[str, float | None]
    """All numbers that the corpus has of it; params say which are wanted."""
    soft: Mapping[str, float]
    """The corpus' name of a class -> its share of the votes, or its probability; they need not sum to 1."""


Layout = Callable[[CorpusParams, str], Corpus]
"""Reads a corpus: its params, and the language to prefer where it has transcripts in several."""

BLANKS = re.compile(r"[ \u00a0\u3000]{2,}|[\u00a0\u3000]")
"""Any number of them is one, within a label."""

TEXTS = ("clip_id", "path", "split", "label", "group", "transcript")


def make_corpus(
    clips: Sequence[Clip],
    params: CorpusParams,
    naming: Naming,
    notes: Notes | None = None,
    test_order: Iterable[str] = (),
) -> Corpus:
    """Assemble a corpus from what its layout says of each clip: labels by our names, of the targets those wanted.

    Clips whose label the map drops are left out, and noted. A clip with soft labels and no other has the likeliest.

    Args:
        test_order: clip ids as the corpus' file with the labels of the test split has them, where that is another
            order than that of the clips.

    Raises:
        MerError: a label has no name here, votes sum to nothing, or no clip has a target that is wanted.
    """
    notes = notes or Notes()
    clips = [
        {**clip, "label": BLANKS.sub(" ", label)} if (label := clip.get("label")) and BLANKS.search(label) else clip
        for clip in clips
    ]
    kept, classes = _named(clips, params, naming, notes)
    rows = pd.DataFrame({name: pd.Series([clip.get(name) for clip in kept], dtype="str") for name in TEXTS})
    labeled, test = ((rows["split"] == split).to_numpy() for split in ("labeled", "test"))
    numbers = _numbers(TARGET, _targets(kept, params)) | _numbers(SOFT, [clip.get("soft") for clip in kept])
    own: dict[str, Any] = {name: np.where(labeled, column, np.nan) for name, column in numbers.items()}
    folds = pd.Series([clip.get("fold") for clip in kept], dtype="str").where(labeled)
    if folds.notna().any():
        own = {CORPUS_FOLD: folds, **own}
    tested = rows[["clip_id", "label"]].assign(**numbers)[test]
    tested = tested[tested.drop(columns="clip_id").notna().any(axis=1)]
    place = {clip_id: at for at, clip_id in enumerate(test_order)}
    tested = tested.iloc[np.argsort(tested["clip_id"].map(place).fillna(len(place)).to_numpy(), kind="stable")]
    tested = tested.reset_index(drop=True)
    table = rows.assign(label=rows["label"].where(labeled), **_parts(kept), **own)
    return Corpus(ClipTable(table, classes), tested, notes)


def _named(
    clips: Sequence[Clip], params: CorpusParams, naming: Naming, notes: Notes
) -> tuple[list[Clip], tuple[str, ...]]:
    """Clips with labels by our names, less those that are dropped; and the classes in order."""
    known = [clip for clip in clips if clip["split"] != "unlabeled"]
    voted = list(dict.fromkeys(name for clip in known for name in clip.get("soft") or ()))
    found = [
        (_where(clip, params), str(clip["label"]), clip["split"] == "labeled") for clip in known if clip.get("label")
    ]
    found += [(f"{_where(clip, params)}, votes", name, True) for clip in known[:1] for name in voted]
    labels = name_labels(found, params, naming)
    kept: list[Clip] = []
    for clip in clips:
        label, votes = clip.get("label"), clip.get("soft")
        if clip["split"] == "unlabeled":
            kept.append({**clip, "label": None, "soft": {}})
            continue
        soft = _distribution(votes, labels, _where(clip, params)) if votes else {}
        ours = labels[label] if label else max(soft, key=soft.__getitem__, default=None)
        if (label and ours is None) or (votes and not soft):
            notes.add("dropped", f"{clip['clip_id']} ({label or 'votes'})")
        else:
            kept.append({**clip, "label": ours, "soft": soft})
    return kept, labels.classes


def _where(clip: Clip, params: CorpusParams) -> str:
    return clip.get("where") or f"{params.root}: clip '{clip['clip_id']}'"


def _targets(clips: Sequence[Clip], params: CorpusParams) -> list[dict[str, float]]:
    """Of each clip the targets that are wanted, as far as they are known."""
    have = dict.fromkeys(name for clip in clips for name in clip.get("targets") or ())
    for name in params.targets:
        if name not in have:
            some = f"it has {', '.join(have)}" if have else "it has none"
            raise MerError(f"corpus.target: {params.root} has no target '{name}'; {some}")
        if all((clip.get("targets") or {}).get(name) is None for clip in clips if clip["split"] == "labeled"):
            raise MerError(f"corpus.target: no labeled clip of {params.root} has a number for '{name}'")
    return [
        {name: value for name in params.targets if (value := (clip.get("targets") or {}).get(name)) is not None}
        for clip in clips
    ]


def _parts(clips: Sequence[Clip]) -> dict[str, pd.Series]:
    """Columns of `mer.clips.tables.PARTS` that any clip has."""
    columns = {name: [clip.get(name) for clip in clips] for name in ("start", "end", "crop", "sound")}
    if any(value is not None for name in ("start", "end") for value in columns[name]):
        found = {name: pd.Series(columns[name], dtype="float64") for name in ("start", "end")}
    else:
        found = {}
    texts = [name for name in ("crop", "sound") if any(columns[name])]
    return found | {name: pd.Series(columns[name], dtype="str") for name in texts}


def _numbers(prefix: str, found: Sequence[Mapping[str, float] | None]) -> dict[str, list[float]]:
    """A column for each name that any clip has a number of, in the order in which they come; NaN where it has none."""
    names = list(dict.fromkeys(name for one in found if one for name in one))
    return {prefix + name: [(one or {}).get(name, np.nan) for one in found] for name in names}


def _distribution(votes: Mapping[str, float], labels: Labels, where: str) -> dict[str, float]:
    """Votes of all classes, in their order, as shares of 1; empty where all went to classes that are dropped."""
    if not sum(votes.values()) > 0:
        raise MerError(f"{where}: the votes sum to zero; leave them empty where there are none")
    shares = dict.fromkeys(labels.classes, 0.0)
    for theirs, count in votes.items():
        if (ours := labels[theirs]) is not None:
            shares[ours] += count
    total = sum(shares.values())
    return {name: count / total for name, count in shares.items()} if total else {}
