"""The clips that the page lets its reader explore, one by one, as compact JSON and lines of pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.report.looks import Look

MOST_EVALUATED = 10_000
"""Clips with a label that the page lets explore; beyond these, what was predicted wrong goes first."""
MOST_UNLABELED = 500
CHUNK = 48
"""Clips whose pictures stand in one block of the page, unpacked when one of them is looked at."""
UNLABELED = "unlabeled"

Word = tuple[str, float, float]


@dataclass(frozen=True)
class Explored:
    """`clips`: clip_id, part (out_of_fold, test or unlabeled), actual (null where unknown), predicted, group, fold,
    p_<class>..., transcript, and `was`, what another run predicted, where one is held against this.

    `words` are those of each clip whose times are known. `votes` and `history` are the tables of self-training for
    these clips. `left_out` counts, by part, the clips that the page has no room for.
    """

    clips: pd.DataFrame
    words: Mapping[str, Sequence[Word]] = field(default_factory=dict)
    votes: pd.DataFrame = field(default_factory=pd.DataFrame)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    looks: Mapping[str, Look] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def choose_clips(
    evaluated: pd.DataFrame, predictions: pd.DataFrame, clips: ClipTable
) -> tuple[pd.DataFrame, dict[str, int]]:
    """`Explored.clips` and `Explored.left_out`: all that is evaluated (see `evaluated_clips`) as far as there is room,
    and some unlabeled clips, evenly spread."""
    scored = evaluated.reset_index(drop=True)
    wrong = scored["actual"] != scored["predicted"]
    first = scored.index[wrong].append(scored.index[~wrong])[:MOST_EVALUATED].sort_values()
    rows = predictions[predictions["split"] == UNLABELED].merge(clips.rows[["clip_id", "group"]], on="clip_id")
    spread = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_UNLABELED)).round().astype(int))
    unlabeled = rows.iloc[spread].assign(part=UNLABELED, actual=None)
    shown = pd.concat([scored.loc[first], unlabeled], ignore_index=True)[list(scored.columns)]
    known = predictions[["clip_id", "fold"]].merge(clips.rows[["clip_id", "transcript"]], on="clip_id")
    all_parts = pd.concat([scored["part"], pd.Series([UNLABELED] * len(rows), dtype=object)]).value_counts()
    left = all_parts - shown["part"].value_counts().reindex(all_parts.index, fill_value=0)
    return shown.merge(known, on="clip_id", how="left"), {str(part): int(n) for part, n in left.items() if n}


def as_json(explored: Explored, classes: Sequence[str], quarantine: pd.DataFrame) -> str:
    """The clips as JSON that may stand in a page: columns rather than rows, classes by their place."""
    rows, at = explored.clips, {name: place for place, name in enumerate(classes)}
    place = {clip_id: i for i, clip_id in enumerate(rows["clip_id"])}
    looks = [explored.looks.get(clip_id, Look()) for clip_id in rows["clip_id"]]
    probabilities = rows[[f"p_{name}" for name in classes]].to_numpy(float)
    experts, votes, weights = _votes(explored.votes, place, classes)
    values = {
        "classes": list(classes),
        "experts": experts,
        "id": rows["clip_id"].tolist(),
        "part": rows["part"].tolist(),
        "actual": [at.get(name, -1) for name in rows["actual"]],
        "predicted": [at[name] for name in rows["predicted"]],
        "was": [at.get(name, -1) for name in rows["was"]] if "was" in rows else None,
        "group": [_text(name) for name in rows["group"]],
        "fold": [-1 if pd.isna(fold) else int(fold) for fold in rows["fold"]],
        "text": [_text(text) for text in rows["transcript"]],
        "words": {str(place[c]): [[t, round(s, 2), round(e, 2)] for t, s, e in w] for c, w in explored.words.items()},
        "permille": np.rint(1000 * probabilities).astype(int).ravel().tolist(),
        "votes": votes,
        "weights": weights,
        "seconds": [round(look.seconds, 2) for look in looks],
        "peaks": [_base64(look.peaks) for look in looks],
        "pictured": [int(bool(look.frame or look.crops)) for look in looks],
        "history": _grouped(explored.history, place, ["fold", "round", "label", "confidence", "kept"]),
        "faults": _grouped(quarantine, place, ["stage", "kind", "error", "message"]),
        "chunk": CHUNK,
    }
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def picture_blocks(explored: Explored) -> Iterator[str]:
    """Pictures in base64, a line a clip: the frame, a space, the strip of crops; `CHUNK` clips a block."""
    lines = []
    for clip_id in explored.clips["clip_id"]:
        look = explored.looks.get(clip_id, Look())
        lines.append(f"{_base64(look.frame)} {_base64(look.crops)}")
    for start in range(0, len(lines), CHUNK):
        yield "\n".join(lines[start : start + CHUNK])


def _votes(
    votes: pd.DataFrame, place: Mapping[str, int], classes: Sequence[str]
) -> tuple[list[str], dict[str, str], dict[str, list[int]]]:
    """Names of all experts; by clip, a byte an expert and class (all 0: no vote); voting weights in thousandths."""
    if votes.empty:
        return [], {}, {}
    votes = votes[votes["clip_id"].isin(place.keys())]
    experts = [str(name) for name in votes["expert"].unique()]
    column = votes["expert"].map({name: e for e, name in enumerate(experts)}).to_numpy(int)
    row = votes["clip_id"].map(place).to_numpy(int)
    said = np.zeros((len(place), len(experts), len(classes)), np.uint8)
    said[row, column] = np.rint(255 * votes[[f"p_{name}" for name in classes]].to_numpy(float))
    weight = np.zeros((len(place), len(experts)), int)
    weight[row, column] = np.rint(1000 * votes["weight"].to_numpy(float))
    known = np.unique(row).tolist()
    return (
        experts,
        {str(i): _base64(said[i].tobytes()) for i in known},
        {str(i): weight[i].tolist() for i in known},
    )


def _grouped(table: pd.DataFrame, place: Mapping[str, int], columns: Sequence[str]) -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = {}
    if table.empty:
        return found
    for clip_id, *values in table[["clip_id", *columns]].itertuples(index=False):
        if clip_id in place:
            found.setdefault(str(place[clip_id]), []).append([_plain(value) for value in values])
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return round(float(value), 3) if isinstance(value, float | np.floating) else str(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
