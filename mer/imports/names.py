"""Names of clips: which columns hold them, and how those of a view meet those of a corpus."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePosixPath

from mer.errors import MerError

IDS = ("clip_id", "name", "clip", "id", "file", "filename", "utterance", "video")
"""Columns and arrays that name clips, the surest first."""


def check_distinct(names: Sequence[str], where: str) -> None:
    """Raise `MerError` naming the first clip that is there twice, or has no name."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if not name:
            raise MerError(f"{where}: row {number} names no clip")
        if name in seen:
            raise MerError(f"{where}: clip '{name}' is there twice")
        seen.add(name)


def match(clips: Sequence[str], found: Collection[str], view: str) -> list[str]:
    """Lines that count what of a corpus a view lacks, and what it has beyond; none where names are the same.

    Args:
        clips: ids of the corpus' clips.
        found: names of the view's clips.

    Raises:
        MerError: they have no clip in common; the line says how the names differ, where one rule explains it.
    """
    known, names = set(clips), set(found)
    if not known & names:
        raise MerError(f"{view}: {differ(clips, found)}")
    missing = [clip_id for clip_id in clips if clip_id not in names]
    spare = [name for name in found if name not in known]
    lines = []
    if missing:
        lines.append(
            f"{view}: no features of {len(missing)} of {len(clips)} clips, the first is '{missing[0]}'"
            f"{_hint(missing, spare)}"
        )
    if spare:
        lines.append(f"{view}: {len(spare)} of {len(found)} names are no clip of the corpus, the first is '{spare[0]}'")
    return lines


def differ(clips: Collection[str], found: Collection[str]) -> str:
    """Why no names are the same, in a line that begins with the counts."""
    line = (
        f"none of its {len(found)} clips is one of the corpus' {len(clips)}: "
        f"'{next(iter(found), '')}' here, '{next(iter(clips), '')}' there"
    )
    return line + _hint(clips, found)


def _hint(clips: Collection[str], found: Collection[str]) -> str:
    """The one rule by which most of these clips would have features, if there is one."""
    if not clips or not found:
        return ""
    rule = _rule(set(clips), list(found))
    if rule is not None:
        return f"; {rule[0]}, {rule[1]} would match: rename them, or the clips"
    return ""


def _rule(clips: set[str], found: list[str]) -> tuple[str, int] | None:
    """What the names differ by, and how many are explained by it; at least half of the smaller side must be."""
    rules: list[tuple[str, Callable[[str], str]]] = [
        ("they differ in upper and lower case", str.casefold),
        ("they differ in folders before the name", lambda name: PurePosixPath(name.replace("\\", "/")).name),
        ("they differ in the ending of the file", lambda name: os.path.splitext(name)[0]),
        ("they differ in the form of their letters (Unicode)", lambda name: unicodedata.normalize("NFKC", name)),
        ("they differ in zeros before numbers", _without_zeros),
    ]
    best: tuple[str, int] | None = None
    for told, change in rules:
        explained = _matches(map(change, clips), map(change, found))
        if explained > (best[1] if best else 0):
            best = (told, explained)
    for told, explained in (_affix(clips, found), _affix(set(found), list(clips), ours=True)):
        if explained > (best[1] if best else 0):
            best = (told, explained)
    return best if best is not None and 2 * best[1] >= min(len(clips), len(found)) else None


def _affix(clips: set[str], found: list[str], *, ours: bool = False) -> tuple[str, int]:
    """The prefix or ending that a name of `found` has beyond a clip's most often, and how many names it explains.

    Clips lie before and after every cut of a name: as many look-ups as the name has letters.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for name in found[:2000]:
        for cut in range(1, len(name)):
            if name[cut:] in clips:
                counts["prefix", name[:cut]] += 1
            if name[:cut] in clips:
                counts["ending", name[cut:]] += 1
    if not counts:
        return "", 0
    [((kind, affix), _)] = counts.most_common(1)
    bare = (name.removeprefix(affix) if kind == "prefix" else name.removesuffix(affix) for name in found)
    whose = "the clips of the corpus have" if ours else "names here have"
    return f"{whose} the {kind} '{affix}' beyond the others", _matches(clips, bare)


def _matches(one: Iterable[str], other: Iterable[str]) -> int:
    return len(set(one) & set(other))


def _without_zeros(name: str) -> str:
    letters = "".join(letter if letter.isdecimal() else " " + letter + " " for letter in name)
    return "".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in letters.split())
