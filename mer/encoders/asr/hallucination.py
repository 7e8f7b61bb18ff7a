"""Text that a recogniser made up: the criteria of Whisper (Radford et al., 2023, section 4.5) on one window's text."""

from __future__ import annotations

import zlib

NO_SPEECH = 0.6
"""Probability of the token that says so, above which a window has no speech if the text is doubtful, too."""
LEAST_MEAN_LOG_PROBABILITY = -1.0
"""Below this the text is doubtful."""
MOST_COMPRESSION = 2.4
"""Text that zlib shortens by more goes in circles."""


def is_made_up(text: str, no_speech: float | None, mean_log_probability: float) -> bool:
    """Whether the text of a window is a loop, or was read into one without speech.

    `no_speech` is None for a model without that token. Whisper decodes such windows anew at higher temperatures, which
    gives another text every time; here their text is dropped.
    """
    if compression(text) > MOST_COMPRESSION:
        return True
    return no_speech is not None and no_speech > NO_SPEECH and mean_log_probability < LEAST_MEAN_LOG_PROBABILITY


def compression(text: str) -> float:
    """Bytes of UTF-8 over bytes that zlib makes of them."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
