"""The kinds of failure: what the user can mend, what costs a single clip, and what the machine did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class MerError(Exception):
    """Something the user can change. The message is one line that names the params key, the row or the file."""


class ClipError(MerError):
    """A fault of one clip: it is noted in the quarantine table, and the run goes on.

    `error` is its stable name there. It is remembered and the clip not tried again, unless it is `transient`: then a
    limit of the params was met, and the next run tries again.
    """

    error: ClassVar[str] = "clip_error"
    transient: ClassVar[bool] = False


class NotANumberError(ClipError):
    """What an encoder gives for a clip is no finite number: nothing could be learned from it, or from the clip."""

    error = "not_a_number"


class MachineError(ClipError):
    """What the machine did to a clip: a worker killed, no memory, no space, a file that may not be read.

    It says nothing of the clip: it is never remembered and never in a result. The stage tries once more, then fails.
    """

    error = "machine"
    transient = True


def first_few(names: Sequence[str]) -> str:
    """The first three names, and dots where there are more."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
