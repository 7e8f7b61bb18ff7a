"""Small corpora of empty media files: a layout lists files, it does not open them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mer.layouts import Corpus, read_corpus
from mer.params import CorpusParams

Files = dict[str, str | bytes]
ReadFiles = Callable[..., Corpus]


def write_files(root: Path, files: Files) -> Path:
    """Write files: relative path -> content."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def read_files(tmp_path: Path) -> ReadFiles:
    """Write files (relative path -> content) and read them as a corpus."""

    def read(files: Files, *, prefer: str = "chinese", **params: object) -> Corpus:
        return read_corpus(CorpusParams(root=str(write_files(tmp_path, files)), **params), prefer=prefer)

    return read
