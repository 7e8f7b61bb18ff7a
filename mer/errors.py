"""The two kinds of failure: one that the user can mend, and one that costs a single clip."""

from __future__ import annotations


class MerError(Exception):
    """Something the user can change. The message is one line that names the params key, the row or the file."""


class ClipError(MerError):
    """A fault of one clip: it is noted in the quarantine table, and the run goes on."""
