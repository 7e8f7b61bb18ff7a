"""From timed tokens to timed words, in languages with and without spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from mer.encoders.asr.transcript import Word

UNFINISHED = "\ufffd"
"""What a byte-level tokenizer decodes a part of a character to."""
OPENS = ("Ps", "Pi")
"""Unicode's categories of brackets and quotation marks that open."""
SPACELESS = ("THAI ", "LAO ", "MYANMAR ", "KHMER ")
"""Scripts without spaces between words whose characters are not wide: how their names begin in Unicode."""


def timed_words(
    tokens: Sequence[int], times: Sequence[tuple[float, float]], decode: Callable[[Sequence[int]], str]
) -> tuple[Word, ...]:
    """Words of `tokens`, each of which is said from `times[i][0]` until `times[i][1]` (seconds).

    A word begins at a space, which is said with it, or anywhere in a script that has none. Punctuation belongs to the
    word that it touches: what opens to the one behind it, all other to the one before.
    """
    words: list[Word] = []
    apart, space = True, None
    for text, start, stop in _characters(tokens, times, decode):
        apart = apart or text[0].isspace()
        said, began = text.strip(), start if space is None else space
        if said and words and not apart and _joins(said, words[-1].text):
            words[-1] = Word(words[-1].text + said, words[-1].start, stop)
        elif said:
            words.append(Word(said, began, stop))
        apart = text[-1].isspace()
        space = None if said else began
    return tuple(words)


def _joins(said: str, before: str) -> bool:
    """Whether two runs with no space between them are one word."""
    if _is_punctuation(before) or unicodedata.category(said[0])[0] == "M":
        return True
    if _is_punctuation(said):
        return unicodedata.category(said[0]) not in OPENS or not _spaceless(before[-1])
    return not (_spaceless(said[0]) or _spaceless(before[-1]))


def _characters(
    tokens: Sequence[int], times: Sequence[tuple[float, float]], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, float, float]]:
    """The shortest runs of tokens that decode to whole characters, with their times."""
    runs = []
    first = 0
    for place in range(len(tokens)):
        text = decode(tokens[first : place + 1])
        if UNFINISHED in text and place + 1 < len(tokens):
            continue
        if text := text.replace(UNFINISHED, ""):
            runs.append((text, float(times[first][0]), float(times[place][1])))
        first = place + 1
    return runs


def _spaceless(character: str) -> bool:
    """Whether a script sets its words without spaces: Chinese, Japanese, Thai; Korean is wide, but has spaces."""
    name = unicodedata.name(character, "")
    return name.startswith(SPACELESS) or (unicodedata.east_asian_width(character) in "WF" and "HANGUL" not in name)


def _is_punctuation(text: str) -> bool:
    return bool(text) and all(unicodedata.category(character)[0] == "P" for character in text)
