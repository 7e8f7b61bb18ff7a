"""What is printed reaches any terminal: unknown letters are written as escapes, and a message is one line."""

from __future__ import annotations

import re
import sys
from io import TextIOWrapper

from mer.errors import MerError

LONGEST = 2000
"""Characters of a message."""
LOCALE = "this locale has no letters for the name of a file: set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
"""Where Python was told to use ASCII for names of files, too."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def take_any_letter() -> None:
    """Let no print fail: a terminal of ASCII gets `\\u4e2d` where another gets the letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def speaks_unicode() -> bool:
    """Whether standard output takes every letter."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


def told(error: MerError) -> str:
    """A mistake in one line, whatever names of files, cells or classes it quotes."""
    line = CONTROLS.sub(" ", str(error))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
