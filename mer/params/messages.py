"""What pydantic finds wrong with params, in lines that name the key as a user writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from mer.params.limits import shown
from mer.params.views import KINDS

BRANCH = re.compile(r"(literal|constrained|function|list|tuple|dict)[-\[].*|str|int|float|bool|\[key\]")
"""Parts of a fault's place that are no key: which of several types was tried."""


def lines_of(error: ValidationError) -> Iterator[str]:
    """A line a key; where a value may be of several types, what each asks for."""
    found: dict[str, list[Any]] = {}
    for fault in error.errors():
        found.setdefault(_key(fault["loc"]), []).append(fault)
    for key, faults in found.items():
        yield _line(key, faults)


def _key(place: tuple[Any, ...]) -> str:
    parts = [str(part)[:80] for part in place if not (isinstance(part, str) and BRANCH.fullmatch(part))]
    if parts[:1] == ["views"] and len(parts) > 2 and parts[2] in KINDS:
        del parts[2]  # which kind of view was tried
    return ".".join(parts)


def _line(key: str, faults: list[Any]) -> str:
    said = list(dict.fromkeys(fault["msg"].removeprefix("Value error, ") for fault in faults))
    kind, given = faults[0]["type"], faults[0]["input"]
    if kind == "value_error" and key in ("views", ""):
        return said[0]
    if kind == "value_error" and isinstance(given, Mapping | BaseModel):  # of a section: it begins with the key
        return f"{key}.{said[0]}" if key and said[0].split()[0] in given else f"'{key}': {said[0]}"
    key = key or "the file"
    if kind == "extra_forbidden":
        return f"unknown key '{key}'"
    if kind == "model_type":
        return f"'{key}': a mapping of keys is needed (got {shown(given)})"
    return f"'{key}': {'; or '.join(said)} (got {shown(given)})"
