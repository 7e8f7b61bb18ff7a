"""Decoded clips for the stages after decoding: from the shard cache, or made again from the source where it lacks them.

The cache may lack them because they were pruned, or because the manifest came by `dvc pull` from another machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.clips import read_clips
from mer.errors import MerError
from mer.extraction.decode import NAME, decode_step, located
from mer.extraction.per_clip import Place, fill_cache
from mer.extraction.settings import deciding
from mer.media.record import CONTENT, MediaRecord
from mer.params import ComputeParams, DecodeParams, Params
from mer.store.cache import ShardCache
from mer.store.location import cache_root
from mer.store.manifest import Manifest, check_settings, read_manifest
from mer.store.shards import MissingRowsError

EMPTY: dict[str, Any] = {
    "audio": None,
    "frames": [],
    "timestamps": [],
    "duration": 0.0,
    "width": 0,
    "height": 0,
    "audio_sha256": "",
    "frames_sha256": "",
}


class Media:
    """What `manifest` of the decode stage lists. The clips of `place` and `root` say where the sources are.

    `decode` gives the limits within which a clip is decoded again; what it gives is as the manifest says.
    """

    def __init__(
        self, manifest: Manifest, place: Place, root: Path, decode: DecodeParams, compute: ComputeParams
    ) -> None:
        self.manifest = manifest
        self.place = place
        self._root, self._decode, self.compute = root, decode, compute

    def digests(self, column: str) -> dict[str, str | None]:
        """Each clip's `audio_sha256` or `frames_sha256`; None where it has none or is in quarantine."""
        return {clip_id: value or None for clip_id, value in self.manifest.column(column).items()}

    def records(self, clip_ids: Sequence[str], columns: Sequence[str]) -> Iterator[MediaRecord]:
        """The clips asked for, in that order, of those that were decoded; fields not asked for are empty.

        Raises:
            MerError: a clip is neither in the cache nor can it be decoded again.
        """
        wanted = [clip_id for clip_id in clip_ids if self._keys.get(clip_id) is not None]
        done = 0
        try:
            for record in self._read(wanted, columns):
                yield record
                done += 1
        except MissingRowsError:  # pruned meanwhile, or corrupt and set aside by now: made again
            yield from self._read(wanted[done:], columns)

    def _read(self, clip_ids: Sequence[str], columns: Sequence[str]) -> Iterator[MediaRecord]:
        keys = [str(self._keys[clip_id]) for clip_id in clip_ids]
        missing = set(self._cache.results_missing(keys))
        self._make_again([clip_id for clip_id, key in zip(clip_ids, keys, strict=True) if key in missing])
        for clip_id, row in zip(clip_ids, self._cache.read_columns(keys, list(columns)), strict=True):
            yield MediaRecord(**{"clip_id": clip_id, **EMPTY, **row})

    def audio(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Pairs of clip and FLAC bytes; clips without sound are left out."""
        for record in self.records(clip_ids, ["audio"]):
            if record.audio is not None:
                yield record.clip_id, record.audio

    def waveforms(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Pairs of clip and float32 [samples] at 16 kHz, as `audio` gives them."""
        from mer.media import encode

        return ((clip_id, encode.waveform(audio)) for clip_id, audio in self.audio(clip_ids))

    @cached_property
    def _cache(self) -> ShardCache:
        return ShardCache(cache_root(), NAME, CONTENT)

    @cached_property
    def _keys(self) -> dict[str, str | None]:
        return self.manifest.keys

    def _make_again(self, clip_ids: Sequence[str]) -> None:
        if not clip_ids:
            return
        print(f"{len(clip_ids)} clips are not in the cache: decoded again from {self._root}", flush=True)
        clips = self.place.clips
        rows = clips[clips["clip_id"].isin(set(clip_ids))]
        step = decode_step(self._decode)
        if step.made.fingerprint != self.manifest.made.fingerprint:
            raise MerError(
                f"{self.manifest.path}: decoded by {self.manifest.made.name}, here it would be by {step.made.name}; "
                f"{len(clip_ids)} clips are not in the cache: run `dvc repro --force decode`, or `mer cache import`"
            )
        content = located(rows, self._root)
        for clip_id, fault in content.faults.items():
            raise MerError(f"clip '{clip_id}' is not in the cache, and cannot be decoded again: {fault}")
        try:
            _, keys, report = fill_cache(step, content, self.compute)
        except MerError as error:
            raise MerError(f"media are not in the cache, and cannot be decoded again: {error}") from None
        self._cache.results.refresh()
        for clip_id in set(clip_ids) - keys.keys():
            raise MerError(f"clip '{clip_id}' is not in the cache, nor in the table of clips; run `dvc repro decode`")
        for clip_id, key in keys.items():
            if key != self._keys[clip_id]:
                raise MerError(f"clip '{clip_id}': its file is not the one that was decoded; run ingest again")
            failure = report.lost.get(str(key)) or report.failed.get(str(key))
            if failure is not None:
                raise MerError(f"clip '{clip_id}' is not in the cache, and decoding it again failed: {failure.message}")


def open_media(params: Params, data: Path = Path("data")) -> Media:
    """The media of the working directory's run.

    Raises:
        MerError: the decode stage has not run, or ran under other params.
    """
    manifest = read_manifest(data / "manifests" / f"{NAME}.parquet")
    check_settings(manifest, "decode", deciding(params.decode))
    place = Place(data, read_clips(data / "clips.parquet"))
    return Media(manifest, place, Path(params.corpus.root), params.decode, params.compute)
