"""One place for what makes training repeat itself to the byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from mer.compute.device import pick_device as pick_device


@contextmanager
def deterministic(seed: int, threads: int = 0) -> Iterator[None]:
    """Deterministic algorithms and a seeded generator inside; the caller's settings are restored after.

    Args:
        threads: how many threads share a sum, whatever the number of cores: it decides the sum's last bits. 0 leaves
            that to the machine.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses deterministic mode without it
    before, threads_before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    memory: Any = torch.utils.deterministic
    filled_before = memory.fill_uninitialized_memory
    with torch.random.fork_rng(), threadpool_limits(threads or None):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # a tenth of the time; no operator of ours reads it
        torch.set_num_threads(threads or threads_before)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(before)
            memory.fill_uninitialized_memory = filled_before
