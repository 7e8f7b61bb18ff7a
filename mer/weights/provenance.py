"""Where an encoder folder comes from, and whether its files are still what was written: provenance.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mer.weights.download import file_sha256

FILE = "provenance.yaml"
"""No .json: what a folder computes does not depend on it, and so its fingerprint must not."""


@dataclass(frozen=True)
class Provenance:
    """`sources` names packages or files with their SHA-256; `files` maps this folder's files to size and SHA-256."""

    name: str
    role: str
    origin: str
    licence: str
    conversion: str
    sources: list[dict[str, Any]]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(int(of["size"]) for of in self.files.values())


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file in a folder, by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != FILE)
    return {path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)} for path in files}


def write(folder: Path, provenance: Provenance) -> None:
    """Write provenance.yaml; the same folder gives the same bytes."""
    text = yaml.safe_dump(vars(provenance), sort_keys=False, allow_unicode=True, width=1000)
    (folder / FILE).write_text(text, encoding="utf-8")


def read(folder: Path) -> Provenance | None:
    """What `write` wrote; None where there is none, or nothing readable."""
    try:
        values = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
        provenance = Provenance(**values)
        return provenance if all({"size", "sha256"} <= of.keys() for of in provenance.files.values()) else None
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return None


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with a folder's files, a line each; nothing where all are as they were written."""
    provenance = read(folder)
    if provenance is None:
        yield f"no readable {FILE}"
        return
    for name, of in provenance.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != of["size"]:
            yield f"{name} has {path.stat().st_size} bytes instead of {of['size']}"
        elif file_sha256(path) != of["sha256"]:
            yield f"{name} has changed: SHA-256 {file_sha256(path)} instead of {of['sha256']}"
    known = {*provenance.files, FILE}
    yield from (f"{path.name} was not there" for path in sorted(folder.iterdir()) if path.name not in known)


def sources_of(provenance: Provenance) -> Mapping[str, str]:
    """SHA-256 of each source by its file name."""
    return {str(source.get("file")): str(source.get("sha256")) for source in provenance.sources}
