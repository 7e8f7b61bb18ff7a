"""One thread a worker: sums over another number of threads round otherwise, and where the work runs must change no bit.

Workers are what the cores are shared out to, so nothing is lost where there is one a core.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@contextmanager
def children_with_one_thread() -> Iterator[None]:
    """Processes that start meanwhile begin with one thread, whatever the user's environment says."""
    before = {name: os.environ.get(name) for name in THREAD_COUNTS}
    os.environ.update(dict.fromkeys(THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class OneThread:
    """Keeps the numerical libraries that are loaded to one thread, from `take` until `give_back`."""

    def __init__(self) -> None:
        self._limits: threadpool_limits | None = None
        self._torch: tuple[Any, int] | None = None

    def take(self) -> None:
        """To be called when the libraries that work needs are loaded."""
        self._limits = threadpool_limits(limits=1)
        torch = sys.modules.get("torch")
        if torch is not None:
            self._torch = (torch, torch.get_num_threads())
            torch.set_num_threads(1)

    def give_back(self) -> None:
        if self._limits is not None:
            self._limits.restore_original_limits()
        if self._torch is not None:
            self._torch[0].set_num_threads(self._torch[1])
        self._limits = self._torch = None
