"""Compute what the shard cache lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mer.compute import Worker, map_batches
from mer.errors import ClipError, MachineError
from mer.params import ComputeParams
from mer.store.cache import Failure, ShardCache
from mer.store.shards import MissingRowsError

log = logging.getLogger(__name__)

TRIES = 10
"""How often a cache that loses rows under the hands of a run is filled again."""

Item = TypeVar("Item")
Filled = TypeVar("Filled")
Out = TypeVar("Out")


MOST_LOST = 200
"""Clips in a row that the machine lost, after which the rest is not tried: its disk is full, its memory too small."""


@dataclass(frozen=True)
class FillReport:
    """What a run did: results computed, results found, and the keys without one.

    `failed` are faults of clips, of this run and remembered from earlier ones; `lost` are those of the machine.
    """

    done: int
    cached: int
    failed: Mapping[str, Failure]
    lost: Mapping[str, Failure] = field(default_factory=dict)


def fill(
    cache: ShardCache,
    items: Iterable[tuple[str, Item]],
    worker: Worker[Item, Mapping[str, Any]],
    compute: ComputeParams,
    *,
    batch_size: int = 1,
    batch_cost: float | None = None,
    cost: Callable[[Item], float] | None = None,
    together: Callable[[Item], object] | None = None,
    total: int | None = None,
    description: str = "",
) -> FillReport:
    """Compute and store the row of every key that has neither a row nor a remembered failure.

    `items` pairs a key with what the worker needs; a key that comes twice is computed once. A batch holds at most
    `batch_size` items, and at most `batch_cost` by the sum of `cost` (an item that alone costs more goes alone),
    and only neighbours that are the same to `together`, where it is given. Every row is safe when the next is asked
    for, so an interrupted run continues where it stopped. Where the machine loses `MOST_LOST` clips in a row, the
    rest is left alone.
    """
    known = cache.known()
    seen: dict[str, None] = {}
    order: list[str] = []

    def lacking() -> Iterator[Item]:
        for key, item in items:
            if key in seen:
                continue
            seen[key] = None
            if key not in known:
                order.append(key)
                yield item

    transient: dict[str, Failure] = {}
    lost: dict[str, Failure] = {}
    done = in_a_row = 0
    batches = in_batches(lacking(), batch_size, batch_cost, cost, together)
    with (
        closing(map_batches(worker, batches, compute, total=total, description=description)) as results,
        cache.writer() as writer,
    ):
        for number, result in results:
            if isinstance(result, MachineError):
                lost[order[number]] = Failure.of(result)
                in_a_row += 1
                if in_a_row >= MOST_LOST:
                    break
                continue
            in_a_row = 0
            if isinstance(result, ClipError):
                transient[order[number]] = Failure.of(result)
                writer.fail(order[number], result)
            else:
                writer.add(order[number], dict(result))
                done += 1
    failed = cache.failures(list(seen)) | transient
    untried = len(order) - done - len(transient) - len(lost)
    return FillReport(done, len(seen) - len(failed) - len(lost) - done - untried, failed, lost)


def in_batches(
    items: Iterable[Item],
    size: int,
    limit: float | None,
    cost: Callable[[Item], float] | None,
    together: Callable[[Item], object] | None = None,
) -> Iterator[list[Item]]:
    """Cut a stream, in order, into batches of at most `size` items and at most `limit` of summed cost.

    With `together`, a batch ends where that gives another value than for the item before.
    """
    batch: list[Item] = []
    spent = 0.0
    for item in items:
        price = cost(item) if cost else 0.0
        apart = batch and together is not None and together(item) != together(batch[-1])
        if batch and (apart or len(batch) >= size or (limit is not None and spent + price > limit)):
            yield batch
            batch, spent = [], 0.0
        batch.append(item)
        spent += price
    if batch:
        yield batch


def fill_and_use(compute_missing: Callable[[], Filled], use: Callable[[Filled], Out]) -> Out:
    """Fill the cache, then use what it holds; where a shard proves corrupt, or rows were pruned, do both once more.

    The corrupt shard has been set aside by then, so only what it held is computed again. Several may be corrupt, and
    each is found by itself; a disk that spoils whatever is written ends the run.
    """
    for _ in range(TRIES - 1):
        try:
            return use(compute_missing())
        except MissingRowsError as error:
            log.warning("%s: computed again", error)
    return use(compute_missing())
