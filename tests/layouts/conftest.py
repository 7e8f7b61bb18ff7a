"""Small corpora of empty media files: a layout lists files, it does not open them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mer.layouts import Corpus, read_corpus
from mer.params import CorpusParams

Files = dict[str, str | bytes]
ReadFiles = Callable[..., Corpus]


@pytest.fixture
def read_files(tmp_path: Path) -> ReadFiles:
    """Write files (relative path -> content) and read them as a corpus."""

    def read(files: Files, *, prefer: str = "chinese", **params: object) -> Corpus:
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_corpus(CorpusParams(root=str(tmp_path), **params), prefer=prefer)

    return read
