"""Stage scripts: a user's mistake is one line, and dvc.yaml names every script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import imports
from tests.imports import PIPELINES, Stage

ROOT = Path(__file__).parents[1]


def run_stage(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "stages" / f"{name}.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("corpus: {rot: here}", "params.yaml: unknown key 'corpus.rot'"),
        ("corpus: {folds: many}", "'corpus.folds'"),
        ("corpus: {root: nowhere}", "corpus.root: there is no folder 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, params: str, said: str) -> None:
    (tmp_path / "params.yaml").write_text(params)
    result = run_stage("ingest", tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stage_before_its_time_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("")
    result = run_stage("decode", tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [result.stderr.strip()]
    assert "data/clips.parquet" in result.stderr


def test_every_stage_script_is_in_a_pipeline_and_runs_as_a_module() -> None:
    stages = {name: stage for path in PIPELINES for name, stage in imports.entries(path).items()}
    assert {f"stages/{name}.py" for name in stages} == {f"stages/{path.name}" for path in ROOT.glob("stages/*.py")}
    for name, stage in stages.items():
        assert stage["cmd"].removesuffix(" ${key}") == f"python -m stages.{name}"
        assert f"stages/{name}.py" in stage["deps"]


def test_where_the_work_runs_re_runs_no_stage() -> None:
    for path in PIPELINES:
        for stage in imports.entries(path).values():
            assert not any(key.startswith("compute") for key in stage["params"])


STAGES = pytest.mark.parametrize("stage", list(imports.stages()), ids=lambda stage: stage.name)


@STAGES
def test_a_stage_depends_on_all_the_code_that_its_script_leads_to(stage: Stage) -> None:
    assert imports.uncovered(stage) == [], "run `python -m tests.imports --write`"


@STAGES
def test_a_stage_depends_on_no_folder_that_it_hardly_uses(stage: Stage) -> None:
    assert imports.unused(stage) == [], "run `python -m tests.imports --write`"


@STAGES
def test_a_stage_names_the_params_that_it_reads_and_no_others(stage: Stage) -> None:
    assert (imports.untold(stage), imports.unread(stage)) == (set(), set())


MEDIA = {"decode", "transcribe", "crop_faces", "extract", "adapt_audio"}
OF_LABELS = {"data/labels.parquet", "data/test_labels.parquet", "data/folds.parquet"}


def test_labels_and_folds_are_read_by_those_who_may() -> None:
    for name, stage in imports.entries(ROOT / "dvc.yaml").items():
        read = OF_LABELS & set(stage["deps"])
        assert not (read and name in MEDIA | {"pretrain"}), f"{name} reads {read}"
        assert "data/test_labels.parquet" not in read or name == "evaluate"
        assert "${corpus.root}" not in stage["deps"] or name == "ingest"
