"""Bundles that learned from text alone, and files of silence to say it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.bundles import TEXTS, text_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def group_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("groups"), normalise="group")


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000, np.float32), 16000)
    return tmp_path / "silence.wav"


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder of that many clips with a list of what is said in each, and by whom; gives the list."""

    def make(number: int) -> Path:
        folder = tmp_path / "clips"
        folder.mkdir()
        texts = list(TEXTS.values())
        lines = ["file,group,transcript"]
        for i in range(number):
            soundfile.write(folder / f"{i:04}.wav", np.zeros(8000, np.float32), 16000)
            lines.append(f"{i:04}.wav,speaker{i % 2},{texts[i % 3]}")
        (folder / "list.csv").write_text("\n".join(lines) + "\n")
        return folder / "list.csv"

    return make
