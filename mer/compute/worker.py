"""What the engines run: a picklable configuration that becomes a function over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from mer.compute.errors import machine_fault
from mer.errors import ClipError

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Work = Callable[[Sequence[Item]], Sequence[Result | ClipError]]


class Worker(Protocol[Item_contra, Result_co]):
    """Work to be done on batches of items, in one process or many: small, picklable, without state of its own.

    A class attribute `isolated = True` says that the work happens in processes that the worker starts itself; threads
    of the calling process are then enough to drive it.
    """

    def setup(self) -> Callable[[Sequence[Item_contra]], Sequence[Result_co | ClipError]]:
        """Load the model, once a process, and return the function that does the work.

        The function gives one result an item, in order, or the item's `ClipError`; if it raises a `ClipError`, the
        items are tried one by one. If what it returns has a `close` method, that is called at the end.
        """


def attempt(work: Work[Item, Result], batch: Sequence[Item]) -> list[Result | ClipError]:
    """Run one batch; a fault of a clip, or of the machine while it had the clip in hand, costs that clip alone."""
    try:
        results = list(work(batch))
    except Exception as error:
        fault = error if isinstance(error, ClipError) else machine_fault(error)
        if fault is None:
            raise
        if len(batch) == 1:
            return [fault]
    else:
        if len(results) != len(batch):
            raise ValueError(f"the worker gave {len(results)} results for {len(batch)} items")
        return results
    return [result for item in batch for result in attempt(work, [item])]


def close(work: object) -> None:
    """Release what a work function holds, if it holds anything."""
    release = getattr(work, "close", None)
    if release is not None:
        release()
