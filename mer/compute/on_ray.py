"""Batches on Ray actors: a cluster whose address is given, or Ray on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Any

from mer.compute.errors import WorkerDiedError
from mer.compute.local import AHEAD, DEATHS
from mer.compute.worker import Work, Worker, attempt
from mer.errors import MerError

CPUS_PER_ACTOR = 0.5
"""Actors that claim every core leave Ray none for its own work, and it hangs."""

Batch = Sequence[Any]


class Actor:
    """Holds one loaded worker on a node of the cluster."""

    def __init__(self, worker: Worker[Any, Any]) -> None:
        self.work: Work[Any, Any] = worker.setup()

    def run(self, batch: Batch) -> list[Any]:
        return attempt(self.work, batch)


def run(
    worker: Worker[Any, Any], batches: Iterator[Batch], workers: int, address: str | None
) -> Generator[tuple[int, list[Any]]]:
    """Number and results of each batch, as they are done; 0 workers means one for each core of the cluster.

    Files must lie at the same path on every node.

    Raises:
        MerError: Ray is not installed or the cluster cannot be reached.
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
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise MerError(f"compute.address: no Ray cluster at '{address}': {error}") from None
    return ray


class _Crew:
    """Actors and the batches that each has in hand."""

    def __init__(self, ray: Any, worker: Worker[Any, Any], count: int) -> None:
        self.ray = ray
        self.kind = ray.remote(num_cpus=CPUS_PER_ACTOR)(Actor)
        self.worker = ray.put(worker)
        self.actors = [self.kind.remote(self.worker) for _ in range(count)]
        self.pending: dict[Any, tuple[int, int, Batch]] = {}
        self.deaths: dict[int, int] = {}

    def run(self, batches: Iterator[Batch]) -> Generator[tuple[int, list[Any]]]:
        numbered = enumerate(batches)
        while True:
            for number, batch in islice(numbered, AHEAD * len(self.actors) - len(self.pending)):
                self._hand_out(self._least_busy(), number, batch)
            if not self.pending:
                return
            finished, _ = self.ray.wait(list(self.pending))
            yield from self._collect(finished[0])

    def _collect(self, finished: Any) -> Generator[tuple[int, list[Any]]]:
        actor, number, batch = self.pending.pop(finished)
        try:
            yield number, self.ray.get(finished)
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self.ray.exceptions.RayActorError:
            self._replace(actor)
            self.deaths[number] = self.deaths.get(number, 0) + 1
            if self.deaths[number] <= DEATHS:
                self._hand_out(self._least_busy(), number, batch)
            else:
                yield number, [WorkerDiedError("every Ray worker that took this clip's batch died") for _ in batch]

    def dismiss(self) -> None:
        for actor in self.actors:
            self.ray.kill(actor)

    def _least_busy(self) -> int:
        load = [0] * len(self.actors)
        for actor, _, _ in self.pending.values():
            load[actor] += 1
        return load.index(min(load))

    def _hand_out(self, actor: int, number: int, batch: Batch) -> None:
        self.pending[self.actors[actor].run.remote(batch)] = (actor, number, batch)

    def _replace(self, actor: int) -> None:
        """Put a new actor in a dead one's place, once for all the batches that it had in hand."""
        if not any(place == actor for place, _, _ in self.pending.values()):
            self.actors[actor] = self.kind.remote(self.worker)
