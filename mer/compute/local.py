"""Batches on this machine: in this process, in threads that drive processes of their own, or in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from queue import SimpleQueue
from typing import Any

from mer.compute.errors import NoWorkersError, WorkerDiedError
from mer.compute.interrupts import interrupts_held_back
from mer.compute.threads import OneThread, children_with_one_thread
from mer.compute.worker import Work, Worker, attempt, close
from mer.running.lifeline import end_with_parent

Batch = Sequence[Any]
Done = tuple[int, list[Any]]
AHEAD = 2
"""Batches handed out for each worker: one in work, one waiting, so that a slow consumer holds the producer back."""
DEATHS = 2
"""How many workers may die of a batch, run alone, before its clips are given up."""
MOST_DEATHS = 10
"""Deaths in a row, no batch done in between, after which no clip is to blame: something kills whatever is started."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(worker: Worker[Any, Any], batches: Iterator[Batch], workers: int) -> Generator[Done]:
    """Number and results of each batch, as they are done."""
    if getattr(worker, "isolated", False):
        return _in_threads(worker, batches, workers)
    if workers == 1:
        return _in_this_process(worker, batches)
    return _in_processes(worker, batches, workers)


def _in_this_process(worker: Worker[Any, Any], batches: Iterator[Batch]) -> Generator[Done]:
    work: Work[Any, Any] | None = None
    threads = OneThread()
    try:
        for number, batch in enumerate(batches):
            work = work or worker.setup()
            threads.take()  # for the work alone: between two batches the caller computes as it likes
            try:
                results = attempt(work, batch)
            finally:
                threads.give_back()
            yield number, results
    finally:
        close(work)


def _in_threads(worker: Worker[Any, Any], batches: Iterator[Batch], workers: int) -> Generator[Done]:
    own = threading.local()
    works: list[Work[Any, Any]] = []

    def task(batch: Batch) -> list[Any]:
        if not hasattr(own, "work"):
            own.work = worker.setup()
            works.append(own.work)
        return attempt(own.work, batch)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="mer")
    try:
        for number, _, future in _bounded(lambda batch: pool.submit(task, batch), batches, AHEAD * workers):
            yield number, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for work in works:
            close(work)
        pool.shutdown()


def _in_processes(worker: Worker[Any, Any], batches: Iterator[Batch], workers: int) -> Generator[Done]:
    with children_with_one_thread():
        pool = _Pool(worker, workers)
        try:
            for number, batch, future in _bounded(pool.submit, batches, AHEAD * workers):
                try:
                    results = future.result()
                except BrokenProcessPool:
                    yield number, pool.redo(batch)
                else:
                    pool.deaths = 0
                    yield number, results
        finally:
            pool.shutdown()


def _bounded(
    submit: Callable[[Batch], Future[Any]], batches: Iterator[Batch], limit: int
) -> Iterator[tuple[int, Batch, Future[Any]]]:
    """Hand out batches, at most `limit` at a time, and give back each with its finished future."""
    # A queue and not `concurrent.futures.wait`: Ctrl-C inside that leaves futures locked, and their threads waiting.
    finished: SimpleQueue[Future[Any]] = SimpleQueue()
    numbered = enumerate(batches)
    pending: dict[Future[Any], tuple[int, Batch]] = {}
    while True:
        for number, batch in islice(numbered, limit - len(pending)):
            with interrupts_held_back():
                future = submit(batch)
                pending[future] = (number, batch)
                future.add_done_callback(finished.put)
        if not pending:
            return
        future = finished.get()
        yield *pending.pop(future), future


class _Pool:
    """Processes that each hold one loaded worker; started anew when one of them dies."""

    def __init__(self, worker: Worker[Any, Any], workers: int) -> None:
        self.worker = worker
        self.workers = workers
        self.executor = self._start()
        self.deaths = 0

    def submit(self, batch: Batch) -> Future[Any]:
        try:
            return self.executor.submit(_work, batch)
        except BrokenProcessPool:
            self._restart()
            return self.executor.submit(_work, batch)

    def redo(self, batch: Batch) -> list[Any]:
        """Results of a batch that was out when a process died: alone, so that the one that kills is found."""
        for _ in range(DEATHS):
            try:
                results = list(self.submit(batch).result())
            except BrokenProcessPool:
                self._restart()
            else:
                self.deaths = 0
                return results
        if len(batch) == 1:
            return [WorkerDiedError("every process that took this clip died")]
        return [result for item in batch for result in self.redo([item])]

    def shutdown(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)

    def _restart(self) -> None:
        self.deaths += 1
        if self.deaths > MOST_DEATHS:
            raise NoWorkersError(
                f"{self.deaths} worker processes died in a row, whatever clips they had: killed for memory, most "
                "often; take fewer (compute.workers), or give the machine more"
            )
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.executor = self._start()

    def _start(self) -> Executor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, context, initializer=_begin, initargs=(self.worker, os.getpid()))


_loaded: Work[Any, Any] | None = None
"""The work function of this process, where it is one of the pool's."""
_fault: Exception | None = None
"""Why it has none: raised where the batch is asked for, because a pool tells nothing of how its processes began."""


def _begin(worker: Worker[Any, Any], parent: int) -> None:
    global _loaded, _fault
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    end_with_parent(parent)  # without this, a killed run leaves its processes waiting for work for ever
    try:
        _loaded = worker.setup()
    except Exception as error:
        _fault = error
    OneThread().take()


def _work(batch: Batch) -> list[Any]:
    if _fault is not None:
        raise _fault
    assert _loaded is not None
    return attempt(_loaded, batch)
