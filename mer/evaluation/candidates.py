"""A submission held against the challenge's list of candidates, before an upload is spent on it."""

from __future__ import annotations

import csv
import difflib
import io
import math
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mer.errors import MerError

NAME, LABEL = "name", "discrete"
MOST_BYTES = 2**28
MOST_COMPARED = 50
"""Missing and extra names that are looked at for misspellings: of thousands, the list is another."""
ALIKE = 0.8
"""How alike two names must be for one to be a misspelling of the other: difflib's ratio."""


def read_candidates(path: str | Path) -> list[str]:
    """Names of the clips to submit, in the list's order: the column `name` of a CSV file, else its first; or a name a
    line.

    Raises:
        MerError: the file is missing, no text, has no names, or one twice.
    """
    lines = _lines(Path(path))
    header = lines[0] if lines else []
    titles = [cell.lower() for cell in header]
    at = titles.index(NAME) if NAME in titles else 0
    body = lines[1:] if NAME in titles or len(header) > 1 else lines
    for row in body:
        if len(row) <= at or not row[at]:
            raise MerError(f"{path}: a row without a name")
    names = [row[at] for row in body]
    if not names:
        raise MerError(f"{path}: no names in it")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise MerError(f"{path}: the list has '{twice[0]}' twice{_others(twice)}")
    return names


def read_submission(path: str | Path) -> pd.DataFrame:
    """A submission as it was written: every cell a text.

    Raises:
        MerError: it is missing, no CSV file, lacks a column, or has a row longer or shorter than its header.
    """
    lines = _lines(Path(path))
    if not lines:
        raise MerError(f"{path}: empty; a header 'name,discrete' is needed")
    for column in (NAME, LABEL):
        if column not in lines[0]:
            raise MerError(f"{path}: no column '{column}' (found: {', '.join(lines[0])})")
    for number, row in enumerate(lines[1:], start=2):
        if len(row) != len(lines[0]):
            raise MerError(f"{path}: row {number} has {len(row)} cells where the header has {len(lines[0])}")
    return pd.DataFrame(lines[1:], columns=lines[0], dtype="str")


def faults(table: pd.DataFrame, candidates: Sequence[str], classes: Sequence[str], *, target: str | None) -> list[str]:
    """What is wrong with a submission, a line a kind of fault; nothing where it is right.

    Args:
        table: columns `name, discrete` and, where it is asked for, the target's.
        candidates: names that the challenge asks for, in its order.
        classes: labels that there are; none where they are unknown.
        target: the column of numbers that is to be there.
    """
    names = [str(name) for name in table[NAME]]
    lacking, beyond, swapped = _unmatched(names, candidates)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    found = [
        _told("misspelt", [f"'{wrong}', did you mean '{right}'?" for wrong, right in swapped.items()]),
        _told("missing", [f"'{name}'" for name in lacking]),
        _told("extra", [f"'{name}'" for name in beyond]),
        _told("twice", [f"'{name}'" for name in repeated]),
        "" if len(names) == len(candidates) else f"count: {len(names)} rows for {len(candidates)} candidates",
        _order(names, candidates),
        _told("label", list(_bad_labels(table, classes))),
        _told(str(target), list(_bad_numbers(table, target))) if target is not None else "",
    ]
    return [line for line in found if line]


def _unmatched(names: Sequence[str], candidates: Sequence[str]) -> tuple[list[str], list[str], Mapping[str, str]]:
    """Candidates without a row, rows of no candidate, and of these two what is one name spelt in two ways."""
    wanted, there = set(candidates), set(names)
    lacking = [name for name in candidates if name not in there]
    beyond = list(dict.fromkeys(name for name in names if name not in wanted))
    swapped: dict[str, str] = {}
    if len(lacking) <= MOST_COMPARED and len(beyond) <= MOST_COMPARED:
        free = {_plain(name): name for name in lacking}
        for name in beyond:
            if close := difflib.get_close_matches(_plain(name), free, n=1, cutoff=ALIKE):
                swapped[name] = free.pop(close[0])
    right = set(swapped.values())
    return [n for n in lacking if n not in right], [n for n in beyond if n not in swapped], swapped


def _plain(name: str) -> str:
    """Case, blanks and the ending of a file do not make another name."""
    return Path(unicodedata.normalize("NFC", name).strip().lower()).with_suffix("").as_posix() if name.strip() else name


def _order(names: Sequence[str], candidates: Sequence[str]) -> str:
    """The first row that is not where the list has it, of names that are all there."""
    if sorted(names) != sorted(candidates) or list(names) == list(candidates):
        return ""
    at = next(i for i, (own, theirs) in enumerate(zip(names, candidates, strict=True)) if own != theirs)
    return f"order: row {at + 1} is '{names[at]}' where the list has '{candidates[at]}'"


def _bad_labels(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    for name, label in zip(table[NAME], table[LABEL], strict=True):
        if not isinstance(label, str) or not label or (classes and label not in classes):
            yield f"'{label}' of '{name}' is none of {', '.join(classes) or 'any class'}"


def _bad_numbers(table: pd.DataFrame, target: str) -> Iterator[str]:
    if target not in table:
        yield "no such column"
        return
    for name, value in zip(table[NAME], table[target], strict=True):
        try:
            good = math.isfinite(float(value))
        except (TypeError, ValueError):
            good = False
        if not good:
            yield f"'{value}' of '{name}' is no number"


def _told(kind: str, cases: Sequence[str]) -> str:
    return f"{kind}: {cases[0]}{_others(cases)}" if cases else ""


def _others(cases: Sequence[object]) -> str:
    more = len(cases) - 1
    return f" (and {more} other{'s' * (more > 1)})" if more > 0 else ""


def _lines(path: Path) -> list[list[str]]:
    """Cells of every line that is not blank, without blanks around them."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise MerError(f"{path}: not a file of names")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MerError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MerError(f"{path}: not UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise MerError(f"{path}: a NUL byte in it; is it a text file?")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise MerError(f"{path}: not valid CSV: {error}") from None
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
