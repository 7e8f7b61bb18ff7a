"""What can be wrong with a clip: each fault a type, each type a stable name for the quarantine table."""

from __future__ import annotations

from typing import ClassVar

from mer.errors import ClipError, MachineError


class MediaError(ClipError):
    """A clip that cannot be decoded. `error` is its name in the quarantine table.

    A `transient` fault met a limit of the params: it is quarantined, but the next run tries again. One that is a
    `MachineError` too is no fault of the clip's.
    """

    error: ClassVar[str] = "media_error"


class MissingFileError(MediaError):
    error = "missing_file"


class NotAFileError(MediaError):
    error = "not_a_file"


class PermissionRefusedError(MediaError, MachineError):
    error = "permission_refused"


class UnreadableFileError(MediaError, MachineError):
    error = "unreadable_file"


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


class KilledError(MediaError, MachineError):
    """Someone killed the decoder, the kernel for memory most often: it did not die of the clip."""

    error = "killed"


class TimedOutError(MediaError):
    error = "timed_out"
    transient = True


class OutOfMemoryError(MediaError):
    error = "out_of_memory"
    transient = True


class DoubtError(Exception):
    """What a container says and what its decoder finds differ: decode everything. It never leaves `mer.media`."""


BY_NAME: dict[str, type[MediaError]] = {kind.error: kind for kind in MediaError.__subclasses__()}
