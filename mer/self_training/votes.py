"""What each expert said of each clip, as a table: to see who was right where the vote was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Voted:
    """What a chain says of n clips: `probabilities` float32 [n, C] of its vote, `agreeing` float32 [n], the share of
    the voting weight that names the same class, and `experts` float16 [E, n, C], the calibrated probabilities of each
    expert, no number where it sees nothing of the clip."""

    probabilities: NDArray[np.float32]
    agreeing: NDArray[np.float32]
    experts: NDArray[np.float16]


def joined(parts: Sequence[Voted]) -> Voted:
    """Parts in order, one or more."""
    return Voted(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.agreeing for part in parts]),
        np.concatenate([part.experts for part in parts], axis=1),
    )


def votes_table(
    voted: Voted,
    rows: NDArray[np.int64],
    clip_ids: NDArray[np.object_],
    experts: Sequence[str],
    weights: NDArray[np.float32],
    classes: Sequence[str],
) -> pd.DataFrame:
    """A row a clip and expert that sees something of it, clips in the order of `rows`.

    Args:
        voted: what the chain says of `rows`.
        rows: int64 [n], places in `clip_ids`.
        experts, weights: names and voting weights [E].
        classes: names of the C classes.

    Returns:
        Columns `place` (in `clip_ids`), `clip_id, expert, weight`, and `p_<class>` for each class, to three digits.
    """
    said = voted.experts.transpose(1, 0, 2).astype(np.float32)  # [n, E, C]
    count, width = said.shape[:2]
    place = np.repeat(rows, width)
    columns = {
        "place": place,
        "clip_id": clip_ids[place],
        "expert": np.tile(np.array(experts, object), count),
        "weight": np.tile(weights, count),
    }
    columns |= {f"p_{name}": said[:, :, c].ravel() for c, name in enumerate(classes)}
    return pd.DataFrame(columns)[np.isfinite(said).all(axis=2).ravel()]
