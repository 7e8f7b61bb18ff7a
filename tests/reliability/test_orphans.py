"""Nothing of ours outlives what it works for, and an orphan writes no outs.

Where DVC is killed, its stage ends as a stage does that is killed: on Ray, which takes its time to begin,
`MER_RELIABILITY=large` alone kills the stage itself.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media.making import write_clip
from tests.reliability.processes import DVC, Marked, python, wait_for

LARGE = os.environ.get("MER_RELIABILITY") == "large"
STAGE = """
import sys, time
sys.argv[0] = "stages/decode.py"
from pathlib import Path
from mer.params import ComputeParams, DecodeParams, load_params
from mer.running.stage import run

def work(params):
    from contextlib import closing
    from mer.compute import map_batches
    from tests.reliability.sleepers import Sleeps
    batches = [[number] for number in range(100)]
    with closing(map_batches(Sleeps(str(Path.cwd())), batches, params.compute)) as done:
        for number, _ in done:
            pass
    Path("out").write_text("written by an orphan")

if __name__ == "__main__":
    run(work)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "stage.py").write_text(STAGE)
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[Marked]]:
    every: list[Marked] = []
    yield every
    for one in every:
        one.end()


def ours(run: Marked) -> dict[int, str]:
    """Processes that run code of ours. Ray's own agents look for their master every few seconds only."""
    return {pid: command for pid, command in run.alive().items() if not re.match(r"ray::\w+Agent\b", command)}


def at_work(workspace: Path) -> bool:
    return len(list(workspace.glob("working-*"))) >= 2


@pytest.mark.parametrize(
    ("killed", "engine"),
    [("dvc", "local"), ("stage", "local"), ("dvc", "ray"), *([("stage", "ray")] if LARGE else [])],
)
def test_two_seconds_after_a_kill_no_process_is_left(
    workspace: Path, started: list[Marked], killed: str, engine: str
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    (workspace / "params.yaml").write_text(f"compute: {{engine: {engine}, workers: 2}}")
    stage = f"{shlex.quote(sys.executable)} stage.py"
    command = python(DVC) if killed == "dvc" else (sys.executable, "stage.py")
    run = Marked(*command, *([stage] if killed == "dvc" else []), cwd=workspace)
    started.append(run)
    assert wait_for(lambda: at_work(workspace), 240), run.alive()
    run.kill()
    assert wait_for(lambda: not ours(run), 2), ours(run)
    assert wait_for(lambda: not run.alive(), 240), run.alive()
    assert not (workspace / "out").exists()


def test_a_worker_whose_stage_dies_while_it_begins_is_no_orphan(workspace: Path, started: list[Marked]) -> None:
    (workspace / "params.yaml").write_text("compute: {workers: 2}")
    run = Marked(sys.executable, "stage.py", cwd=workspace)
    started.append(run)
    assert wait_for(lambda: sum("spawn_main" in command for command in run.alive().values()) > 0, 60)
    run.kill()
    assert wait_for(lambda: not run.alive(), 60), run.alive()


def test_a_process_that_was_adopted_before_it_asked_ends(tmp_path: Path, started: list[Marked]) -> None:
    child = """
import os, sys, time
from mer.running.lifeline import end_with_parent
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.01)
end_with_parent(int(sys.argv[1]))
time.sleep(60)
"""
    code = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())])"
    run = Marked(*python(code), cwd=tmp_path)
    started.append(run)
    assert run.process.wait() == 0
    assert wait_for(lambda: not run.alive(), 20), run.alive()


def test_a_decoder_in_the_middle_of_a_clip_ends_with_its_stage(tmp_path: Path, started: list[Marked]) -> None:
    clip = write_clip(tmp_path / "long.mp4", seconds=15, size=(1280, 720))  # to write more takes long
    code = f"""
from pathlib import Path
from mer.media.sandbox import decode_safely
from mer.params import DecodeParams
while True:
    Path("begun").touch()
    decode_safely({str(clip)!r}, DecodeParams(frames=1500))
"""
    run = Marked(*python(code), cwd=tmp_path)
    started.append(run)
    assert wait_for(lambda: (tmp_path / "begun").exists() and len(run.alive()) > 1, 60)
    time.sleep(4)  # to be in the middle of it: the decoder has begun, takes ten, and begins again
    run.kill()
    assert wait_for(lambda: not run.alive(), 2), run.alive()


def test_a_stage_that_a_person_started_outlives_his_shell(workspace: Path, started: list[Marked]) -> None:
    (workspace / "params.yaml").write_text("compute: {workers: 2}")
    run = Marked("/bin/sh", "-c", f"{shlex.quote(sys.executable)} stage.py || exit 1", cwd=workspace)
    started.append(run)
    assert wait_for(lambda: at_work(workspace), 60)
    run.kill()
    assert not wait_for(lambda: not run.alive(), 1)


def test_two_runs_of_a_stage_in_one_workspace_do_not_write_together(workspace: Path, started: list[Marked]) -> None:
    (workspace / "params.yaml").write_text("compute: {workers: 2}")
    first = Marked(sys.executable, "stage.py", cwd=workspace)
    started.append(first)
    assert wait_for(lambda: at_work(workspace), 60)
    second = Marked(sys.executable, "stage.py", cwd=workspace)
    started.append(second)
    output = second.process.communicate(timeout=60)[0].decode()
    assert second.process.returncode == 1
    assert output == "error: decode: another run of this stage is at work in this folder; wait for it, or end it\n"
    assert first.process.poll() is None


def test_the_next_run_waits_for_an_orphan_to_end(workspace: Path, started: list[Marked]) -> None:
    (workspace / "params.yaml").write_text("compute: {workers: 2}")
    first = Marked(*python(DVC), f"{shlex.quote(sys.executable)} stage.py", cwd=workspace)
    started.append(first)
    assert wait_for(lambda: at_work(workspace), 60)
    first.kill()
    for path in workspace.glob("working-*"):
        path.unlink()
    second = Marked(*python(DVC), f"{shlex.quote(sys.executable)} stage.py", cwd=workspace)
    started.append(second)
    assert wait_for(lambda: at_work(workspace), 60)
    assert not first.alive()
