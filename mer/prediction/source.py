"""One file to predict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One file: `path` is its name to people and in tables, `file` where it lies. `group` is its speaker or session,
    `transcript` what is said, where they are known."""

    path: str
    file: str
    group: str | None = None
    transcript: str = ""
