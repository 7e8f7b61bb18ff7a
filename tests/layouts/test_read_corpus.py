"""One function reads every layout; a real corpus and a large one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from mer.errors import MerError
from mer.layouts import LAYOUTS, read_corpus
from mer.layouts.files import media_files
from mer.params import CorpusParams

SHARED = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_every_layout_that_params_allow_is_registered():
    assert set(get_args(CorpusParams.model_fields["layout"].annotation)) == set(LAYOUTS)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(MerError, match=r"corpus.root: there is no folder '.*nowhere'"):
        read_corpus(CorpusParams(root=str(tmp_path / "nowhere")))


@pytest.mark.skipif(not (SHARED / "emodb").is_dir(), reason=f"no EmoDB at {SHARED / 'emodb'} (MER_SHARED_DATA)")
def test_emodb_is_read_as_it_is():
    params = CorpusParams(root=str(SHARED / "emodb"), layout="folder", labels="clips.csv", columns={"group": "speaker"})
    table = read_corpus(params).table
    assert table.rows["split"].eq("labeled").sum() == len(table.rows) == 535
    assert table.rows["group"].nunique() == 10
    assert table.classes == ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
    assert table.rows["label"].value_counts()["anger"] == 127


def test_files_are_listed_without_a_stat_each(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.mp4", "c.MP4", "note.txt"):
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "stat", None)
    assert media_files(tmp_path) == ["a.mp4", "b.mp4", "c.MP4"]
