"""The one fault that comes from where the work ran rather than from the clip."""

from __future__ import annotations

from typing import ClassVar

from mer.errors import ClipError


class WorkerDiedError(ClipError):
    """Every worker that took the clip died: killed for memory, most often. The next run tries again."""

    error: ClassVar[str] = "worker_died"
    transient: ClassVar[bool] = True
