"""Map a worker over batches on the engine that the parameters name."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from tqdm import tqdm

from mer.compute import local
from mer.compute.worker import Item, Result, Worker
from mer.errors import ClipError
from mer.params import ComputeParams


def map_batches(
    worker: Worker[Item, Result],
    batches: Iterable[Sequence[Item]],
    params: ComputeParams,
    *,
    total: int | None = None,
    description: str = "",
    quiet: bool = False,
) -> Generator[tuple[int, Result | ClipError]]:
    """Results of the items of all batches, as they are done, each with the item's number in the order given.

    Batches are taken as workers become free. A worker that dies costs nothing but time: its batch is done again. Close
    the iterator (`contextlib.closing`) to stop early. `total` is the number of items, for the progress bar on stderr,
    which `quiet` leaves out.

    Raises:
        MerError: the engine cannot be used.
    """
    firsts: list[int] = []
    with (
        closing(_engine(worker, _numbered(batches, firsts), params)) as done,
        tqdm(total=total, desc=description, unit="clip", disable=quiet or None, smoothing=0.05) as bar,
    ):
        for number, results in done:
            for offset, result in enumerate(results):
                yield firsts[number] + offset, result
            bar.update(len(results))


def _engine(
    worker: Worker[Any, Any], batches: Iterator[Sequence[Any]], params: ComputeParams
) -> Generator[tuple[int, list[Any]]]:
    if params.engine == "ray":
        from mer.compute import on_ray

        return on_ray.run(worker, batches, params.workers, params.address)
    return local.run(worker, batches, params.workers or local.cores())


def _numbered(batches: Iterable[Sequence[Item]], firsts: list[int]) -> Iterator[Sequence[Item]]:
    """Pass batches on, noting the number of the first item of each."""
    count = 0
    for batch in batches:
        firsts.append(count)
        count += len(batch)
        yield batch
