"""What a server takes: sizes, lengths, and how many at a time."""

from __future__ import annotations

from dataclasses import dataclass

from mer.errors import MerError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """`megabytes` and `seconds` of a clip; `at_once` clips are decoded side by side, `queue` more may wait, of one
    client's no more than `per_client` together; an upload may take `upload_seconds`.

    Raises:
        MerError: one is below what it must at least be.
    """

    megabytes: int = 200
    seconds: float = 120.0
    at_once: int = 2
    queue: int = 16
    per_client: int = 16
    upload_seconds: float = 120.0

    def __post_init__(self) -> None:
        least = {"megabytes": 1, "seconds": 0.1, "at_once": 1, "queue": 0, "per_client": 1, "upload_seconds": 1}
        for name, value in least.items():
            if not getattr(self, name) >= value:
                raise MerError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {value}")

    @property
    def bytes(self) -> int:
        return self.megabytes * MIB

    @property
    def admitted(self) -> int:
        """Clips that are decoded or wait."""
        return self.at_once + self.queue
