"""What can be wrong with a clip: each fault a type, each type a stable name for the quarantine table."""

from __future__ import annotations

from typing import ClassVar

from mer.errors import ClipError


class MediaError(ClipError):
    """A clip that cannot be decoded. `error` is its name in the quarantine table.

    A `transient` fault may be the machine's rather than the file's: it is quarantined, but the next run tries again.
    """

    error: ClassVar[str] = "media_error"
    transient: ClassVar[bool] = False


class MissingFileError(MediaError):
    error = "missing_file"


class NotAFileError(MediaError):
    error = "not_a_file"


class PermissionRefusedError(MediaError):
    error = "permission_refused"


class OutsideRootError(MediaError):
    error = "outside_root"


class EmptyFileError(MediaError):
    error = "empty_file"


class NotMediaError(MediaError):
    error = "not_media"


class NothingDecodedError(MediaError):
    error = "nothing_decoded"


class TooLongError(MediaError):
    error = "too_long"


class TooManyPixelsError(MediaError):
    error = "too_many_pixels"


class CrashedError(MediaError):
    error = "crashed"


class TimedOutError(MediaError):
    error = "timed_out"
    transient = True


class OutOfMemoryError(MediaError):
    error = "out_of_memory"
    transient = True


class DoubtError(Exception):
    """What a container says and what its decoder finds differ: decode everything. It never leaves `mer.media`."""


BY_NAME: dict[str, type[MediaError]] = {kind.error: kind for kind in MediaError.__subclasses__()}
