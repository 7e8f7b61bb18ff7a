"""What a layout found beside its clips: labels without files, files without labels, and whatever it passed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

KINDS = {
    "missing": "labels without a file",
    "extra": "files without a label",
    "unreadable": "files that cannot be read",
    "duplicated": "named twice",
    "dropped": "clips dropped by the label map",
    "unclear": "lines that are not understood",
    "overlapping": "segments that overlap another of their file",
    "broken": "clips that the corpus is known to have broken",
    "passed over": "files of other kinds, passed over",
    "mended": "names read otherwise than they stand there",
}
"""Every kind of note and what it counts."""
SHOWN = 3


@dataclass
class Notes:
    """By kind, the name of each clip, file or line that was noted; kinds come in the order of `KINDS`."""

    found: dict[str, list[str]] = field(default_factory=dict)
    about: list[str] = field(default_factory=list)
    """Lines on the corpus as a whole: what it was recognised by, say."""

    def add(self, kind: str, what: str) -> None:
        """Note one thing; `kind` is one of `KINDS`."""
        if kind not in KINDS:
            raise ValueError(f"unknown kind of note: {kind!r}")
        self.found.setdefault(kind, []).append(what)

    def count(self, kind: str) -> int:
        return len(self.found.get(kind, ()))

    def lines(self) -> Iterator[str]:
        """A line for each kind of which there is any: how many, and the first few."""
        for kind, about in KINDS.items():
            if names := self.found.get(kind):
                more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                yield f"{len(names)} {about}: {', '.join(names[:SHOWN])}{more}"
