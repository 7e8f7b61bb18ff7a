"""The file of a detector's network, told apart by its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mer.errors import MerError


def checked_digest(model: str, sha256: str | None) -> str:
    """SHA-256 of the file, in hex.

    Raises:
        MerError: it is missing, or has another SHA-256 than `sha256`.
    """
    try:
        digest = hashlib.sha256(Path(model).read_bytes()).hexdigest()
    except OSError as error:
        raise MerError(f"faces.detector_model: {model}: {error.strerror or error}") from None
    if sha256 is not None and digest != sha256.lower():
        raise MerError(f"faces.detector_sha256: {model} has {digest}")
    return digest
