"""Engines: every item has its result, whatever happens to the workers, and no more is held than needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mer.compute import local, map_batches
from mer.errors import ClipError, MerError
from mer.params import ComputeParams
from tests.compute.workers import OddError, Raises, Squares, Threads

ROOT = Path(__file__).parents[2]
ONE, TWO = ComputeParams(workers=1), ComputeParams(workers=2)
BATCHES = [[0, 1, 2], [3], [4, 5], [6, 7, 8, 9]]
SQUARES = {number: number * number for number in range(10)}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)  # new processes must find the workers of these tests


def loaded(folder: Path) -> int:
    return len(list(folder.glob("loaded-*")))


@pytest.mark.parametrize(
    ("params", "isolated"), [(ONE, False), (TWO, False), (TWO, True)], ids=["here", "processes", "threads"]
)
def test_every_item_has_its_result(tmp_path: Path, params: ComputeParams, isolated: bool) -> None:
    worker = Squares(str(tmp_path), isolated=isolated)
    assert dict(map_batches(worker, BATCHES, params)) == SQUARES
    assert loaded(tmp_path) <= params.workers


def test_nothing_to_do_loads_nothing(tmp_path: Path) -> None:
    for params in (ONE, TWO):
        assert list(map_batches(Squares(str(tmp_path)), [], params)) == []
    assert loaded(tmp_path) == 0


@pytest.mark.parametrize("params", [ONE, TWO])
def test_a_clip_error_is_a_result(tmp_path: Path, params: ComputeParams) -> None:
    results = dict(map_batches(Squares(str(tmp_path)), [[12, 13], [14]], params))
    assert (results[0], results[2]) == (144, 196)
    assert isinstance(results[1], OddError)


def test_a_clip_error_of_a_whole_batch_is_traced_to_its_item() -> None:
    results = dict(map_batches(Raises(ClipError), [[5, 6, 7, 8], [9]], ONE))
    assert {number: result for number, result in results.items() if number != 2} == {0: 5, 1: 6, 3: 8, 4: 9}
    assert isinstance(results[2], ClipError)


@pytest.mark.parametrize("params", [ONE, TWO])
@pytest.mark.parametrize("error", [ValueError, MerError])
def test_other_errors_stop_the_run(params: ComputeParams, error: type[Exception]) -> None:
    with pytest.raises(error, match="seven"):
        list(map_batches(Raises(error), BATCHES, params))


def test_the_items_of_a_worker_that_dies_are_done_by_others(tmp_path: Path) -> None:
    worker = Squares(str(tmp_path), deadly=4)
    assert dict(map_batches(worker, BATCHES, TWO)) == SQUARES
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_worker_costs_itself_alone(tmp_path: Path) -> None:
    results = dict(map_batches(Squares(str(tmp_path), always_deadly=4), BATCHES, TWO))
    assert isinstance(results.pop(4), ClipError)
    assert results == {number: square for number, square in SQUARES.items() if number != 4}


@pytest.mark.parametrize("isolated", [False, True])
def test_batches_are_taken_as_workers_become_free(tmp_path: Path, isolated: bool) -> None:
    taken = 0

    def batches() -> Iterator[list[int]]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield [number]

    with closing(map_batches(Squares(str(tmp_path), isolated=isolated), batches(), TWO)) as results:
        next(results)
        assert taken <= local.AHEAD * 2 + 2


def test_each_process_has_one_thread_whatever_the_user_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number would round otherwise: the same bytes on any machine are worth more."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    results = list(map_batches(Threads(), [[1], [2]], ComputeParams(workers=2)))
    assert [result for _, result in results] == ["1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_the_progress_bar_is_silent_without_a_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    list(map_batches(Squares(str(tmp_path)), BATCHES, ONE, total=10, description="squares"))
    assert capfd.readouterr().err == ""


SCRIPT = """
    import signal
    import sys
    from mer.compute import map_batches
    from mer.params import ComputeParams
    from tests.compute.workers import Squares
    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts without it
        worker = Squares(sys.argv[1], seconds=0.05, isolated=sys.argv[2] == "threads")
        for number, result in map_batches(worker, ([n] for n in range(400)), ComputeParams(workers=2)):
            print(number, flush=True)
"""


@pytest.mark.parametrize("kind", ["processes", "threads"])
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_stopping_the_run_leaves_no_process(tmp_path: Path, kind: str, blow: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    run = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.stdout is not None
    run.stdout.readline()
    run.send_signal(blow)
    run.stdout.read()  # ends when the last process that holds the pipe has ended
    assert run.wait(timeout=10) != 0
    tried = len(list(tmp_path.glob("tried-*")))
    time.sleep(0.2)
    assert len(list(tmp_path.glob("tried-*"))) == tried < 400
