"""A decoded clip as it is stored: FLAC audio, JPEG frames, and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mer.media.notes import Note

CONTENT = pa.schema(
    [
        pa.field("audio", pa.binary()),
        pa.field("frames", pa.list_(pa.binary())),
        pa.field("timestamps", pa.list_(pa.float64())),
        pa.field("duration", pa.float64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("audio_sha256", pa.string()),
        pa.field("frames_sha256", pa.string()),
        pa.field("notes", pa.list_(pa.struct([("error", pa.string()), ("message", pa.string())]))),
    ]
)
"""What decoding a file gives: the same for two clips with the same bytes. `notes` say what the record lacks of the
file, each by a stable name and a line for people: they become `partial` rows of the quarantine table."""
SCHEMA = pa.schema([pa.field("clip_id", pa.string(), nullable=False), *CONTENT])


@dataclass(frozen=True)
class MediaRecord:
    """One decoded clip.

    `audio` is FLAC at 16 kHz mono (see `mer.media.encode` for its level), None where the clip has none; `frames` are
    JPEGs shown at `timestamps` (seconds); `width` and `height` are the clip's own. A digest is empty where there is
    nothing to digest. `notes` say what the file has and the record lacks.
    """

    clip_id: str
    audio: bytes | None
    frames: list[bytes]
    timestamps: list[float]
    duration: float
    width: int
    height: int
    audio_sha256: str
    frames_sha256: str
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        # From Parquet and from the sandbox they come as plain mappings.
        notes = tuple(one if isinstance(one, Note) else Note(**cast("dict[str, str]", one)) for one in self.notes or ())
        object.__setattr__(self, "notes", notes)

    def waveform(self) -> NDArray[np.float32]:
        """Float32 [samples] at 16 kHz at the level of the file (full scale is 1); empty without audio."""
        from mer.media import encode  # here, because stages that only move records need no codecs: half their start

        return encode.waveform(self.audio) if self.audio else np.zeros(0, np.float32)

    def images(self) -> list[NDArray[np.uint8]]:
        """Uint8 [H, W, 3] RGB each."""
        from mer.media import encode

        return [encode.image(frame) for frame in self.frames]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def content(media: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `CONTENT` from what the sandbox sends: adds the digests of audio and frames."""
    frames = hashlib.sha256()
    for frame, time in zip(media["frames"], media["timestamps"], strict=True):
        frames.update(f"{len(frame)} {time!r} ".encode())
        frames.update(frame)
    audio = media["audio"]
    return {
        "notes": [],
        **media,
        "audio_sha256": hashlib.sha256(audio).hexdigest() if audio is not None else "",
        "frames_sha256": frames.hexdigest() if media["frames"] else "",
    }
