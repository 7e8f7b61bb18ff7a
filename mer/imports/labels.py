"""MERTools' label files: `label*.npz`, arrays of objects that hold dictionaries, name -> {emo, val, ...}.

    {train_corpus, test1_corpus, test2_corpus, ...}    a dictionary each, in an array without axes
    {whole_corpus}                                     an array of dictionaries, one a session (IEMOCAP)

`emo` is a class, by its name or its number; `val` a number, or empty where it is unknown. numpy would run the pickle
in such a file (`allow_pickle=True`); here only plain data is read from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer.errors import MerError
from mer.imports.npy import Archive
from mer.imports.plain import settled
from mer.running.foreign import normalise

PART = re.compile(r"(?P<name>\w+?)_corpus")


@dataclass(frozen=True)
class Label:
    """What a label file says of a clip: `emo` as it is there (a name, or a number as text), and numbers by their name.

    `session` is the number of its dictionary, from 1, where a part has several; else empty.
    """

    emo: str | None
    numbers: Mapping[str, float]
    session: str = ""


def read_labels(path: Path) -> dict[str, dict[str, Label]]:
    """Labels by part (`train`, `test1`, `whole`, ...) and name, in the file's order.

    Raises:
        MerError: it is no such file, holds more than plain data, or says of a clip what is no label; the line names it.
    """
    archive = Archive(path)
    parts: dict[str, dict[str, Label]] = {}
    for name in archive.headers:
        part = PART.fullmatch(name)
        if part is None:
            raise MerError(f"{path}: an array '{name}' is none of MERTools' (train_corpus, test1_corpus, ...)")
        parts[part["name"]] = _part(f"{path}: '{name}'", archive.read(name))
    if not parts:
        raise MerError(f"{path}: no labels in it")
    return parts


def _part(where: str, array: Any) -> dict[str, Label]:
    sessions = [settled(one) for one in np.ravel(array)] if array.dtype == object else None
    if sessions is None or not all(isinstance(session, dict) for session in sessions):
        raise MerError(f"{where}: no dictionary of labels, but {array.dtype} {list(array.shape)}")
    found: dict[str, Label] = {}
    for number, session in enumerate(sessions):
        for name, said in session.items():
            clip_id = normalise(str(name))
            if clip_id in found:
                raise MerError(f"{where}: clip '{clip_id}' is there twice")
            found[clip_id] = _label(f"{where}: clip '{clip_id}'", said, str(number + 1) if len(sessions) > 1 else "")
    return found


def _label(where: str, said: Any, session: str) -> Label:
    if not isinstance(said, dict):
        raise MerError(f"{where}: a {type(said).__name__} where {{emo, val}} is expected")
    values = {str(key): _one(settled(value)) for key, value in said.items()}
    emo = values.pop("emo", None)
    if isinstance(emo, float) and emo == int(emo):
        emo = int(emo)
    if emo is not None and not isinstance(emo, str | int):
        raise MerError(f"{where}: 'emo' is no class")
    numbers = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
    for key, value in values.items():
        if key not in numbers and value not in ("", None):
            raise MerError(f"{where}: '{key}' is no number")
    return Label(None if emo in (None, "") else str(emo).strip(), numbers, session)


def _one(value: Any) -> Any:
    """An array of a single value as this value; bytes as text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
        value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
