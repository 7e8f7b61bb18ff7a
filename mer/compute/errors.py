"""The faults that come from where the work ran rather than from the clip."""

from __future__ import annotations

from mer.errors import MachineError, MerError
from mer.running.machine import explain


class WorkerDiedError(MachineError):
    """Every worker that took the clip died: killed for memory, most often."""

    error = "worker_died"


class ResourceError(MachineError):
    """The machine lacked memory or space, or could not read or write, while it worked on the clip."""

    error = "machine_resource"


class NoWorkersError(MerError):
    """Workers die one after another, whatever they are given."""


def machine_fault(error: BaseException) -> MachineError | None:
    """What an exception of a work function says about the machine; None where it is no fault of the machine's."""
    if isinstance(error, MachineError):
        return error
    if isinstance(error, OSError | MemoryError):
        return ResourceError(explain(error))
    # torch has an error of its own for GPUs, and a RuntimeError with this text for CPUs.
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return ResourceError(explain(MemoryError()))
    return None
