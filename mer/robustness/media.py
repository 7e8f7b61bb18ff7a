"""Decoded clips of a run under a condition: nothing of it is stored, and keys tell them from clean ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.errors import MerError
from mer.extraction.media import Media
from mer.extraction.per_clip import Place
from mer.learning.seeds import stream
from mer.media import encode
from mer.media.record import MediaRecord
from mer.media.sandbox import decode_safely
from mer.params import DecodeParams
from mer.robustness.conditions import Condition
from mer.store.keys import digest

POOL = 24
"""Clips that babble is made of."""


class CorruptedMedia(Media):
    """Some clips of `clean` under a condition; tables of what is extracted go to the folder `data`."""

    def __init__(self, clean: Media, condition: Condition, clip_ids: Sequence[str], data: Path, quality: int) -> None:
        rows = clean.place.clips.set_index("clip_id", drop=False).loc[list(clip_ids)].reset_index(drop=True)
        super().__init__(clean.manifest, Place(data, rows), clean._root, clean._decode, clean.compute)
        self._clean, self.condition, self.clip_ids, self.quality = clean, condition, list(clip_ids), quality

    def digests(self, column: str) -> dict[str, str | None]:
        """Of the clean content and the condition."""
        clean = self._clean.digests(column)
        what = "audio" if column == "audio_sha256" else "face"
        return {
            clip_id: self._digest(clean[clip_id], what) if what in self.condition.touches else clean[clip_id]
            for clip_id in self.clip_ids
        }

    def _digest(self, clean: str | None, what: str) -> str | None:
        if clean is None:
            return None
        return digest(clean, self.condition.fingerprint, *([self.quality] if what == "face" else []))

    def records(self, clip_ids: Sequence[str], columns: Sequence[str]) -> Iterator[MediaRecord]:
        """As `Media.records`, corrupted."""
        sounds, pictures = (self._clean.digests(column) for column in ("audio_sha256", "frames_sha256"))
        for record in self._clean.records(clip_ids, columns):
            changed = record
            if record.audio is not None and "audio" in self.condition.touches:
                wave = self.condition.waveform(record.waveform(), str(sounds[record.clip_id]))
                changed = replace(changed, audio=encode.flac(wave))
            if record.frames and "face" in self.condition.touches:
                images = self.condition.images(record.images(), str(pictures[record.clip_id]))
                changed = replace(changed, frames=[encode.jpeg(image, self.quality) for image in images])
            yield changed


def babble_of(media: Media, clips: pd.DataFrame, seed: int) -> tuple[str, list[NDArray[np.float32]]]:
    """Digest and waveforms of some clips of the corpus, none of the test split, one speaker each as far as they go."""
    with_sound = {clip_id for clip_id, value in media.digests("audio_sha256").items() if value is not None}
    rows = clips[(clips["split"] != "test") & clips["clip_id"].isin(with_sound)]
    order = stream(seed, "babble").permutation(len(rows))
    rows = rows.iloc[order]
    speakers = rows["group"].where(rows["group"].notna(), rows["clip_id"])
    turn = rows.groupby(speakers, sort=False).cumcount()
    chosen = list(rows.assign(turn=turn).sort_values("turn", kind="stable")["clip_id"].head(POOL))
    digests = media.digests("audio_sha256")
    return digest("babble", *(str(digests[clip_id]) for clip_id in chosen)), [w for _, w in media.waveforms(chosen)]


def recordings(paths: Sequence[str], params: DecodeParams) -> tuple[str, list[NDArray[np.float32]]]:
    """Digest and waveforms of noise files.

    Raises:
        MerError: one cannot be decoded, or is silent; the line names it.
    """
    found, digests = [], []
    for path in paths:
        try:
            record = decode_safely(path, params)
        except Exception as error:
            if isinstance(error, MerError) or hasattr(error, "error"):
                raise MerError(f"'robustness.noise_files': {path}: {error}") from None
            raise
        wave = record.waveform()
        if not len(wave) or not np.any(wave):
            raise MerError(f"'robustness.noise_files': {path}: no sound in it")
        found.append(wave)
        digests.append(record.audio_sha256)
    return digest("files", *digests), found
