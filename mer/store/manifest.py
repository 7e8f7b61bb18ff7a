"""Manifests: what a per-clip step has in the cache, clip by clip, and which extractor made it.

A row is a reference (the idea is lhotse's): the key under which the shard cache holds the clip's result, or why it
has none. The file is small, a function of the stage's inputs alone, and says in its metadata who made the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("key", pa.string()),
        pa.field("ok", pa.bool_(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
    ]
)
"""`ok`: the cache has held a result under `key`. Otherwise `error` is a stable name, `message` a line for people; both
are null where there was nothing to work on (no sound, no frames, no text, or a clip that an earlier stage gave up)."""
METADATA = b"mer"


@dataclass(frozen=True)
class Made:
    """By whom results were made.

    `fingerprint` is the extractor's hex digest of all that decides a result; `name` tells people which it is;
    `settings` are the params that decide, `compatible` what another version of a library may be held against (see
    `mer.encoders.provenance`).
    """

    stage: str
    fingerprint: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    compatible: str = ""


@dataclass(frozen=True)
class Manifest:
    """`rows` has the columns of `SCHEMA`, and the step's own beside them; a row a clip, in corpus order."""

    path: Path
    rows: pd.DataFrame
    made: Made

    def column(self, name: str) -> dict[str, Any]:
        """A column by clip, None where it is null."""
        values = self.rows[name].astype(object)
        return dict(zip(self.rows["clip_id"], values.where(values.notna(), None), strict=True))

    @property
    def keys(self) -> dict[str, str | None]:
        """The key of every clip whose result is, or was, in the cache; None for the others."""
        return {
            clip_id: key if ok else None
            for clip_id, key, ok in zip(self.rows["clip_id"], self.rows["key"], self.rows["ok"], strict=True)
        }


def write_manifest(
    path: str | Path, rows: Mapping[str, Sequence[Any]], made: Made, own: pa.Schema | None = None
) -> None:
    """Write columns of `SCHEMA` and of `own`; the same rows give the same bytes."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([*SCHEMA, *(own or [])])
    about = json.dumps(made.__dict__, sort_keys=True, ensure_ascii=False, default=dict)
    table = pa.Table.from_pydict({name: rows[name] for name in schema.names}, schema=schema)
    pq.write_table(table.replace_schema_metadata({METADATA: about}), path)


def read_manifest(path: str | Path) -> Manifest:
    """Read what `write_manifest` wrote.

    Raises:
        MerError: the file is missing or is no manifest.
    """
    try:
        table = pq.read_table(path)
        made = Made(**json.loads((table.schema.metadata or {})[METADATA]))
        rows = table.select([*SCHEMA.names, *(name for name in table.column_names if name not in SCHEMA.names)])
    except FileNotFoundError:
        raise MerError(f"{path}: no such file; `dvc repro` makes it") from None
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise MerError(f"{path}: not a manifest: {' '.join(str(error).split())}; run its stage again") from None
    return Manifest(Path(path), rows.to_pandas(), made)


def check_settings(manifest: Manifest, section: str, settings: Mapping[str, Any]) -> None:
    """Raise `MerError`, naming the stage to run, where a manifest was made under other params than `settings`."""
    for key in sorted(settings.keys() | manifest.made.settings.keys()):
        theirs, ours = manifest.made.settings.get(key), settings.get(key)
        if theirs != ours:
            raise MerError(
                f"{manifest.path}: made with {section}.{key} = {theirs!r}, but params say {ours!r}; "
                f"run `dvc repro {manifest.made.stage}`"
            )
