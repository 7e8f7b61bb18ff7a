"""Map a function over clips: local processes, or Ray."""

from mer.compute.run import map_batches
from mer.compute.worker import Work, Worker

__all__ = ["Work", "Worker", "map_batches"]
