"""Views come and go by `dvc exp run -S`, and cost their own extraction alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.tiny import CLIPS, DVC, call, commit, make_corpus, make_workspace

QUICK = {
    "model": {"kind": "logistic", "modalities": None},
    "pretrain": {"epochs": 0},
    "self_train": {"rounds": 0},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    corpus = make_corpus(folder / "corpus")
    made = make_workspace(folder / "workspace", corpus, **QUICK)
    call(made, *DVC, "repro", "extract", cache=folder / "cache")
    commit(made)
    return made


def ran(workspace: Path, *arguments: str) -> list[str]:
    """The stages that an experiment ran, and all that it said."""
    said = call(workspace, *DVC, "exp", "run", *arguments, cache=workspace.parent / "cache")
    return re.findall(r"Running stage '([^']+)'", said)


def test_one_more_view_runs_no_other_view_s_extraction(workspace: Path) -> None:
    stages = ran(workspace, "-S", "+views.narrow={modality: face, pooling: mean}", "extract")
    assert sorted(stages) == ["extract@narrow", "link_views", "needed"]
    rng = np.random.default_rng(0)
    names = [f"c{number:02d}" for number in range(CLIPS)]
    np.savez(workspace.parent / "egemaps.npz", names=np.array(names), values=rng.normal(size=(CLIPS, 5)))
    source = f"+views.egemaps={{modality: audio, source: {workspace.parent / 'egemaps.npz'}}}"
    assert sorted(ran(workspace, "-S", source, "extract")) == ["extract@egemaps", "link_views", "needed"]
    assert (workspace / "data/features/egemaps/utterance.parquet").exists()


def test_a_changed_file_of_an_import_runs_its_view_again(workspace: Path) -> None:
    path = workspace.parent / "egemaps.npz"
    values = dict(np.load(path))
    np.savez(path, names=values["names"], values=values["values"][:, :4])
    assert "extract@egemaps" in ran(workspace, "extract")


def test_a_view_can_be_left_out_and_the_rest_of_the_pipeline_goes_on(workspace: Path) -> None:
    stages = ran(workspace, "-S", "~views.text", "-S", "~views.face", "-S", "~views.narrow", "evaluate")
    assert not [name for name in stages if name.startswith("extract")]
    assert {"self_train", "evaluate"} <= set(stages)
    assert not (workspace / "data/features/text").exists()
    assert not (workspace / "data/manifests/text.parquet").exists()
    said = call(workspace, "mer", "show", "--bundle", cache=workspace.parent / "cache")
    assert "egemaps" in said
