"""Decoded clips in a cache, as the decode stage leaves them, without a file that was decoded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mer.extraction.contents import write_contents
from mer.extraction.decode import OWN, decode_step
from mer.extraction.media import Media
from mer.extraction.per_clip import Place
from mer.media.record import CONTENT, content
from mer.params import ComputeParams, DecodeParams
from mer.store.cache import ShardCache
from mer.store.keys import digest
from mer.store.location import cache_root
from mer.store.manifest import read_manifest, write_manifest

NOTHING: dict[str, Any] = {"audio": None, "frames": [], "timestamps": [], "duration": 1.0, "width": 0, "height": 0}


def make_media(data: Path, clips: Mapping[str, Mapping[str, Any] | None]) -> Media:
    """Media of clips given by what decoding gave, or None for one that failed."""
    step = decode_step(DecodeParams())
    keys = {clip_id: digest(step.name, step.made.fingerprint, clip_id) for clip_id in clips}
    records = {clip_id: content({**NOTHING, **of}) for clip_id, of in clips.items() if of is not None}
    with ShardCache(cache_root(), "decode", CONTENT).writer() as writer:
        for clip_id, record in records.items():
            writer.add(keys[clip_id], record)
    rows = {
        "clip_id": list(clips),
        "key": list(keys.values()),
        "ok": [of is not None for of in clips.values()],
        "error": [None if of is not None else "not_media" for of in clips.values()],
        "message": [None if of is not None else "no good" for of in clips.values()],
        **{name: [records[c][name] if c in records else None for c in clips] for name in OWN},
    }
    path = data / "manifests" / "decode.parquet"
    write_manifest(path, rows, step.made, pa.schema([CONTENT.field(name) for name in OWN]))
    table = pd.DataFrame({"clip_id": list(clips), "path": [f"{c}.mp4" for c in clips], "sha256": None})
    media = Media(read_manifest(path), Place(data, table), data / "corpus", DecodeParams(), ComputeParams(workers=1))
    write_contents(data, "audio", media.digests("audio_sha256"))
    return media
