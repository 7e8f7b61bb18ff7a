"""Files to what the encoders see: decoded in a sandbox each, faces cropped, by threads side by side."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from mer.encoders.face.cropper import FaceCropper
from mer.errors import ClipError
from mer.media.record import MediaRecord
from mer.media.sandbox import Sandbox
from mer.params import CropParams, DecodeParams
from mer.prediction.extractor import Raw, raw_of
from mer.prediction.source import Source


class ChangedError(ClipError):
    """Somebody writes to the file."""

    error = "changed"
    transient = True


@dataclass(frozen=True)
class ReadWorker:
    """Decodes files, and crops the faces of their frames where `face` is given.

    Threads are enough: decoding happens in a process of each thread's own, and OpenCV lets go of Python while it
    looks for faces.
    """

    decode: DecodeParams
    face: CropParams | None
    isolated = True

    def setup(self) -> ReadWork:
        return ReadWork(Sandbox(self.decode), None if self.face is None else FaceCropper(self.face))


@dataclass(frozen=True)
class ReadWork:
    """The work function over one sandbox and one cropper; closing it ends the sandbox' process."""

    sandbox: Sandbox
    cropper: FaceCropper | None

    def __call__(self, sources: Sequence[Source]) -> list[Raw | ClipError]:
        return [self._one(source) for source in sources]

    def _one(self, source: Source) -> Raw | ClipError:
        try:
            before = _state(source.file)
            record = MediaRecord(clip_id=source.path, **self.sandbox.decode(source.file))
            if _state(source.file) != before:
                raise ChangedError("the file changed while it was read; predict it when it is written")
            return raw_of(record, self.cropper, source.transcript)
        except ClipError as error:
            return error

    def close(self) -> None:
        self.sandbox.close()


def _state(file: str) -> tuple[int, ...] | None:
    """Size and time of a regular file; what is none, decoding tells."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if stat.S_ISREG(found.st_mode) else None
