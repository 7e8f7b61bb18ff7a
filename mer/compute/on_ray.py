"""Batches on Ray actors: a cluster whose address is given, or Ray on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mer.compute.errors import NoWorkersError, WorkerDiedError
from mer.compute.local import AHEAD, DEATHS, MOST_DEATHS
from mer.compute.threads import OneThread
from mer.compute.worker import Work, Worker, attempt
from mer.errors import MerError
from mer.running.lifeline import end_with

CONNECT_SECONDS = 10.0
CPUS_PER_ACTOR = 0.5
"""Actors that claim every core leave Ray none for its own work, and it hangs."""

Batch = Sequence[Any]


def _boot() -> str:
    """Which running machine this is: two on one cluster may have the same name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return socket.gethostname()


class Actor:
    """Holds one loaded worker on a node of the cluster."""

    def __init__(self, worker: Worker[Any, Any], driver: tuple[str, int]) -> None:
        if driver[0] == _boot():  # on its own machine; elsewhere Ray ends the actor, in its own time
            end_with([os.getppid(), driver[1]])
        self.work: Work[Any, Any] = worker.setup()
        OneThread().take()

    def run(self, batch: Batch) -> list[Any]:
        return attempt(self.work, batch)


def run(
    worker: Worker[Any, Any], batches: Iterator[Batch], workers: int, address: str | None
) -> Generator[tuple[int, list[Any]]]:
    """Number and results of each batch, as they are done; 0 workers means one for each core of the cluster.

    Files must lie at the same path on every node.

    Raises:
        MerError: Ray is not installed, the cluster cannot be reached, or its workers die one after another.
    """
    ray = _connect(address)
    count = workers or int(ray.cluster_resources().get("CPU", 1))
    crew = _Crew(ray, worker, count)
    try:
        yield from crew.run(batches)
    finally:
        crew.dismiss()
        ray.shutdown()


def _connect(address: str | None) -> Any:
    try:
        import ray
    except ImportError:
        raise MerError("compute.engine: ray is not installed; pip install 'mer[ray]'") from None
    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise MerError(f"compute.address: no Ray cluster at '{address}': {error}") from None
    return ray


def _check_answers(address: str | None) -> None:
    """Ray itself waits for minutes at an address where nothing listens, and then ends the process."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdigit() or "://" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise MerError(f"compute.address: no Ray cluster at '{address}': {error}") from None


class _Crew:
    """Actors, and the batches that each has in hand: actor's place, batch number, batch."""

    def __init__(self, ray: Any, worker: Worker[Any, Any], count: int) -> None:
        self.ray = ray
        self.kind = ray.remote(num_cpus=CPUS_PER_ACTOR)(Actor)
        self.worker = ray.put(worker)
        self.driver = (_boot(), os.getpid())
        self.actors = [self.kind.remote(self.worker, self.driver) for _ in range(count)]
        self.pending: dict[Any, tuple[int, int, Batch]] = {}
        self.deaths = 0

    def run(self, batches: Iterator[Batch]) -> Generator[tuple[int, list[Any]]]:
        numbered = enumerate(batches)
        while True:
            for number, batch in islice(numbered, AHEAD * len(self.actors) - len(self.pending)):
                self._hand_out(self._least_busy(), number, batch)
            if not self.pending:
                return
            finished, _ = self.ray.wait(list(self.pending))
            place, number, _ = self.pending[finished[0]]
            try:
                results = self._get(finished[0])
            except self.ray.exceptions.RayActorError:
                yield from self._after_death(place)
            else:
                del self.pending[finished[0]]
                yield number, results

    def dismiss(self) -> None:
        for actor in self.actors:
            self.ray.kill(actor)

    def _after_death(self, place: int) -> Generator[tuple[int, list[Any]]]:
        """An actor takes its batches in order: the first without results is what it died of, the rest go out again."""
        self._replace(place)
        lost: list[tuple[int, Batch]] = []
        for reference in [reference for reference, (holder, _, _) in self.pending.items() if holder == place]:
            _, number, batch = self.pending.pop(reference)
            try:
                yield number, self._get(reference)
            except self.ray.exceptions.RayActorError:
                lost.append((number, batch))
        for number, batch in lost[:1]:
            yield number, self._redo(place, batch)
        for number, batch in lost[1:]:
            self._hand_out(place, number, batch)

    def _redo(self, place: int, batch: Batch) -> list[Any]:
        """Results of a batch of which an actor died: alone, at last clip by clip, to find the one that kills."""
        for _ in range(DEATHS):
            try:
                return self._get(self.actors[place].run.remote(batch))
            except self.ray.exceptions.RayActorError:
                self._replace(place)
        if len(batch) == 1:
            return [WorkerDiedError("every Ray worker that took this clip died")]
        return [result for item in batch for result in self._redo(place, [item])]

    def _replace(self, place: int) -> None:
        self.deaths += 1
        if self.deaths > MOST_DEATHS:
            raise NoWorkersError(f"{self.deaths} Ray workers died in a row, whatever clips they had")
        self.actors[place] = self.kind.remote(self.worker, self.driver)

    def _get(self, reference: Any) -> list[Any]:
        try:
            results = list(self.ray.get(reference))
            self.deaths = 0
            return results
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None

    def _hand_out(self, place: int, number: int, batch: Batch) -> None:
        self.pending[self.actors[place].run.remote(batch)] = (place, number, batch)

    def _least_busy(self) -> int:
        load = [0] * len(self.actors)
        for place, _, _ in self.pending.values():
            load[place] += 1
        return load.index(min(load))
