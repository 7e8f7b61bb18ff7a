"""Word error rate: what is compared, how errors are counted, and the interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers.models.whisper.english_normalizer import BasicTextNormalizer

NUMBERS = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
DRAWS = 2000
_normalise = BasicTextNormalizer()


def words(text: str) -> list[str]:
    """Words after Whisper's own normaliser: lower case, no punctuation; then 'ss' for 'ß' and 'sieben' for '7'."""
    plain = _normalise(text).replace("ß", "ss").split()
    return [NUMBERS[int(word)] if word.isdecimal() and int(word) < len(NUMBERS) else word for word in plain]


def same_compounds(said: Sequence[str], heard: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both, with neighbours written together where the other has them as one word: 'so weit' and 'soweit'."""
    return _together(said, set(heard)), _together(heard, set(said))


def _together(own: Sequence[str], other: set[str]) -> list[str]:
    joined: list[str] = []
    for word in own:
        if joined and joined[-1] + word in other:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Least number of words put in, left out or exchanged (Levenshtein)."""
    return _by_start(said, heard)[-1]


def edits_of_start(said: Sequence[str], heard: Sequence[str]) -> tuple[int, int]:
    """The same where a recording stops somewhere in the sentence: errors, and how many of its words they are of.

    The recording is taken to hold the start of the sentence that fits best what was heard, so the errors are a lower
    bound. Where nothing was heard, every word counts.
    """
    if not heard:
        return len(said), len(said)
    errors = _by_start(said, heard)
    best = max(range(1, len(errors)), key=lambda length: (-errors[length] / length, length))
    return errors[best], best


def _by_start(said: Sequence[str], heard: Sequence[str]) -> list[int]:
    """Errors of `heard` against the first 0, 1, ... words of `said`."""
    column = list(range(len(heard) + 1))
    found = [column[-1]]
    for i, word in enumerate(said, 1):
        corner, column[0] = column[0], i
        for j, other in enumerate(heard, 1):
            corner, column[j] = column[j], min(column[j] + 1, column[j - 1] + 1, corner + (word != other))
        found.append(column[-1])
    return found


def error_rate(errors: NDArray[np.int64], lengths: NDArray[np.int64], speakers: NDArray[np.str_]) -> str:
    """Errors over words, with the 95 % interval of a bootstrap over speakers."""
    names, rng = np.unique(speakers), np.random.default_rng(0)
    per = np.array([[errors[speakers == one].sum(), lengths[speakers == one].sum()] for one in names])
    drawn = per[rng.integers(0, len(names), (DRAWS, len(names)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return f"{errors.sum() / lengths.sum():.3f} [{low:.3f}, {high:.3f}]"
