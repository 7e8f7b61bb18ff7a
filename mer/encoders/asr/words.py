"""From timed tokens to timed words, in languages with and without spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from mer.encoders.asr.transcript import Word

UNFINISHED = "\ufffd"
"""What a byte-level tokenizer decodes a part of a character to."""


def timed_words(
    tokens: Sequence[int], starts: Sequence[float], end: float, decode: Callable[[Sequence[int]], str]
) -> tuple[Word, ...]:
    """Words of `tokens`, each said from `starts[i]` until the next begins, the last until `end` (seconds).

    A word begins at a space, or anywhere in a script that has none; punctuation belongs to the word before it.
    """
    words: list[Word] = []
    for text, start, stop in _characters(tokens, [*starts, end], decode):
        joins = words and not text.startswith(" ") and not (_spaceless(text[0]) or _spaceless(words[-1].text[-1]))
        if words and (joins or _is_punctuation(text.strip())):
            words[-1] = Word(words[-1].text + text.strip(), words[-1].start, stop)
        elif text.strip():
            words.append(Word(text.strip(), start, stop))
    return tuple(words)


def _characters(
    tokens: Sequence[int], times: Sequence[float], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, float, float]]:
    """The shortest runs of tokens that decode to whole characters, with their times."""
    runs = []
    first = 0
    for place in range(len(tokens)):
        text = decode(tokens[first : place + 1])
        if UNFINISHED in text and place + 1 < len(tokens):
            continue
        if text := text.replace(UNFINISHED, ""):
            runs.append((text, float(times[first]), float(times[place + 1])))
        first = place + 1
    return runs


def _spaceless(character: str) -> bool:
    """Whether a script sets its words without spaces: Chinese, Japanese; Korean is wide, but has spaces."""
    return unicodedata.east_asian_width(character) in "WF" and "HANGUL" not in unicodedata.name(character, "")


def _is_punctuation(text: str) -> bool:
    return bool(text) and all(unicodedata.category(character)[0] == "P" for character in text)
