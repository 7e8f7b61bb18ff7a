"""What a clip looks and sounds like, small enough that thousands fit on one page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.compute.local import cores
from mer.encoders.face.crops import SCHEMA as CROPS
from mer.errors import MerError
from mer.extraction.media import Media, open_media
from mer.media.record import MediaRecord
from mer.pages.waveform import peaks
from mer.params import Params
from mer.store.cache import ShardCache
from mer.store.location import cache_root
from mer.store.manifest import read_manifest
from mer.store.shards import MissingRowsError

FACE_CROPS = "face_crops"
PEAKS = 120
"""Columns of a waveform."""
BUDGET = 20 * 2**20
"""Characters of all pictures of a page, in base64."""
TOGETHER = 64
"""Clips whose crops are read at once."""
LOOKED_AT = 8
"""Clips whose media are held and looked at at once: those of a long clip are tens of megabytes."""


@dataclass(frozen=True)
class Size:
    """How large a clip's pictures are: the frame's width, the side and number of crops, WebP's quality."""

    frame: int
    crop: int
    crops: int
    quality: int


SIZES = {600: Size(240, 88, 5, 70), 1500: Size(180, 72, 4, 62), 3000: Size(144, 56, 4, 55)}
"""By the most clips that a page may have for its clips to be shown so."""
SMALLEST = Size(112, 48, 3, 50)


@dataclass(frozen=True)
class Look:
    """`frame` is the middle one, `crops` a strip of faces, both WebP and empty where there is none; `peaks` uint8, the
    square root of the loudest sample of each part of the clip, full scale 255; empty without sound."""

    frame: bytes = b""
    crops: bytes = b""
    peaks: bytes = b""
    seconds: float = 0.0

    @property
    def characters(self) -> int:
        """Of its pictures in base64."""
        return sum(len(base64.b64encode(picture)) for picture in (self.frame, self.crops))


def size_for(clips: int) -> Size:
    """The sizes that let so many clips share a page."""
    return next((size for most, size in SIZES.items() if clips <= most), SMALLEST)


def read_looks(params: Params, data: Path, clip_ids: Sequence[str], budget: int = BUDGET) -> dict[str, Look]:
    """The looks of the clips asked for, of those that were decoded; pictures of the first ones, as far as they fit.

    What the cache lacks of media is decoded again; crops that it lacks are left out. Both are said in a line.
    """
    try:
        media = open_media(params, data)
        return _within(_looks(media, data, clip_ids), budget)
    except (MerError, OSError) as error:
        print(f"clips are shown without pictures and waveforms: {error}", flush=True)
        return {}


def _within(looks: Iterator[tuple[str, Look]], budget: int) -> dict[str, Look]:
    found, bare = {}, 0
    for clip_id, look in looks:
        budget -= look.characters
        bare += budget < 0
        found[clip_id] = look if budget >= 0 else Look(peaks=look.peaks, seconds=look.seconds)
    if bare:
        print(f"{bare} of {len(found)} clips are shown without pictures: the page would be too large", flush=True)
    return found


def _looks(media: Media, data: Path, clip_ids: Sequence[str]) -> Iterator[tuple[str, Look]]:
    size = size_for(len(clip_ids))
    crops = _CropReader(data, clip_ids)
    records = media.records(clip_ids, ["frames", "audio", "duration"])
    with ThreadPoolExecutor(cores()) as pool:  # OpenCV and NumPy let go of the interpreter
        while some := list(islice(records, LOOKED_AT)):
            made = pool.map(look_at, some, [crops.of(record.clip_id) for record in some], repeat(size))
            yield from zip([record.clip_id for record in some], made, strict=True)
    if crops.lacking:
        print(f"{crops.lacking} clips are shown without face crops: they are not in the cache", flush=True)


def look_at(record: MediaRecord, crops: Sequence[bytes], size: Size) -> Look:
    """A clip's look from its media and its face crops (JPEG)."""
    middle = record.frames[len(record.frames) // 2] if record.frames else b""
    return Look(
        _webp(_scaled(middle, size.frame), size.quality) if middle else b"",
        strip(crops, size) if crops else b"",
        peaks(record.waveform(), PEAKS),
        record.duration,
    )


def strip(crops: Sequence[bytes], size: Size) -> bytes:
    """Crops from evenly spread moments, side by side, as one WebP."""
    places = np.unique(np.linspace(0, len(crops) - 1, min(size.crops, len(crops))).round().astype(int))
    side = (size.crop, size.crop)
    return _webp(np.hstack([cv2.resize(_image(crops[at]), side, interpolation=cv2.INTER_AREA) for at in places]), 70)


def _scaled(jpeg: bytes, width: int) -> NDArray[np.uint8]:
    image = _image(jpeg)
    scale = min(1.0, width / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _image(jpeg: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise MerError("a stored picture is not readable")
    return np.asarray(image, np.uint8)


def _webp(image: NDArray[np.uint8], quality: int) -> bytes:
    return bytes(cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1])


class _CropReader:
    """The face crops that the cache has of some clips, asked for in order; `lacking` counts those that it lost."""

    def __init__(self, data: Path, clip_ids: Sequence[str]) -> None:
        path = data / "manifests" / f"{FACE_CROPS}.parquet"
        keys = read_manifest(path).keys if path.is_file() else {}
        self.lacking = 0
        self._cache = ShardCache(cache_root(), FACE_CROPS, CROPS)
        self._keys = {clip_id: key for clip_id in clip_ids if (key := keys.get(clip_id)) is not None}
        self._order = list(self._keys)
        self._read: dict[str, list[bytes]] = {}

    def of(self, clip_id: str) -> list[bytes]:
        """The crops of a clip; empty where it has none, or none that is left."""
        while clip_id in self._keys and clip_id not in self._read:
            part, self._order = self._order[:TOGETHER], self._order[TOGETHER:]
            self._read = self._together(part)
        return self._read.get(clip_id, [])

    def _together(self, clip_ids: Sequence[str]) -> dict[str, list[bytes]]:
        keys = {clip_id: str(self._keys[clip_id]) for clip_id in clip_ids}
        missing = set(self._cache.results_missing(list(keys.values())))
        here = {clip_id: key for clip_id, key in keys.items() if key not in missing}
        found: dict[str, list[bytes]] = {clip_id: [] for clip_id in clip_ids}
        try:
            rows = list(self._cache.read_columns(list(here.values()), ["crops"]))
            found |= {clip_id: row["crops"] for clip_id, row in zip(here, rows, strict=True)}
        except MissingRowsError:  # pruned between the two
            here = {}
        self.lacking += len(keys) - len(here)
        return found
