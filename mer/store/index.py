"""Where the rows of a set of shards lie: a snapshot that does not change while somebody reads by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mer.store import shards

PLACE = np.dtype([("shard", np.int32), ("group", np.int32), ("row", np.int32)])


@dataclass(frozen=True)
class ShardKeys:
    """The keys of one shard in stored order, and how many rows each of its row groups holds."""

    keys: pa.Array
    groups: Sequence[int]


@dataclass(frozen=True)
class Index:
    """All keys of a set, and the place of each: shard (its number in `paths`), row group, row in the group."""

    paths: Sequence[Path]
    keys: pa.ChunkedArray
    places: NDArray[np.void]

    def find(self, keys: Sequence[str]) -> tuple[NDArray[np.void], str | None]:
        """Places of the keys, in order; and the first key without one (then the places are of no use)."""
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self.keys)
        if found.null_count:
            return np.zeros(0, PLACE), keys[found.is_null().index(True).as_py()]
        return self.places[found.to_numpy()], None

    def has(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Bool [len(keys)]."""
        wanted = pa.array(keys, pa.string())
        return np.asarray(pc.is_in(wanted, value_set=self.keys).to_numpy(zero_copy_only=False), bool)


def build(known: Mapping[Path, ShardKeys]) -> Index:
    """An index over shards, in the order given."""
    places = [_places(number, shard) for number, shard in enumerate(known.values())]
    keys = pa.chunked_array([shard.keys for shard in known.values()], pa.string())
    return Index(list(known), keys, np.concatenate(places) if places else np.zeros(0, PLACE))


def read_keys(path: Path, schema: pa.Schema) -> ShardKeys | None:
    """The keys of a shard; None where it has another schema, left by another version of mer. Raises as pyarrow does."""
    with shards.open_shard(path) as shard:
        if not shard.schema_arrow.equals(schema):
            return None
        keys = shard.read(columns=["key"], use_threads=False)["key"].combine_chunks()
        return ShardKeys(keys, [shard.metadata.row_group(group).num_rows for group in range(shard.num_row_groups)])


def _places(number: int, shard: ShardKeys) -> NDArray[np.void]:
    places = np.zeros(len(shard.keys), PLACE)
    places["shard"] = number
    places["group"] = np.repeat(np.arange(len(shard.groups)), shard.groups)
    places["row"] = np.concatenate([np.arange(size) for size in shard.groups]) if shard.groups else []
    return places


def follows(place: np.void, other: np.void) -> bool:
    """Whether the second row comes right after the first, in the same row group."""
    same = place["shard"] == other["shard"] and place["group"] == other["group"]
    return bool(same and place["row"] + 1 == other["row"])
