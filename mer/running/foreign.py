"""What others wrote (weights, configurations, bundles) is read behind a door: it may be anything."""

from __future__ import annotations

import errno
import json
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer.errors import MerError
from mer.running.machine import explain

MOST_BYTES = 16 * 2**20
"""Of a JSON file that says what something is; indices of the largest models have a few megabytes."""
LONGEST = 300
"""Characters of what a library says in its error."""
MACHINE = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.EROFS)


@contextmanager
def foreign(where: str) -> Iterator[None]:
    """Whatever goes wrong inside is told in one line that begins with `where`: a params key, a file.

    Libraries raise any type for a file that is not what they expect, an AttributeError as well as a SystemError. A
    fault of our own code inside looks the same: keep to reading what is foreign in here.
    """
    try:
        yield
    except MerError:
        raise
    except OSError as error:
        if error.errno in MACHINE:
            raise
        raise MerError(f"{where}: {said(error)}") from None
    except RecursionError:
        raise MerError(f"{where}: nested too deeply") from None
    except MemoryError as error:
        raise MerError(explain(error, where)) from None
    except Exception as error:
        raise MerError(f"{where}: {said(error)}") from None


def said(error: BaseException) -> str:
    """What an exception says, in one line of bounded length; its type where that is all, or where a key is missing."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split())[:LONGEST]
    if isinstance(error, KeyError):
        return f"{text} is missing"
    return text or type(error).__name__


def normalise(text: str) -> str:
    """Text in Unicode's composed form, so that names from a Mac and names typed into a CSV file meet."""
    return unicodedata.normalize("NFC", text)


def read_json(file: str | Path, where: str | None = None) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        MerError: it is missing, no regular file, too large, no JSON or no object; the line begins with `where`, or
            else with the file's name.
    """
    file, where = Path(file), where or str(file)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise MerError(f"{where}: not a regular file")
        if status.st_size > MOST_BYTES:
            raise MerError(f"{where}: larger than any such file should be")
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MerError(f"{where}: {error.strerror or said(error)}") from None
    except RecursionError:
        raise MerError(f"{where}: not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise MerError(f"{where}: not valid JSON: {said(error)[:200]}") from None
    if not isinstance(values, dict):
        raise MerError(f"{where}: not a JSON object")
    return values


def check_keys(values: Any, kinds: Mapping[str, type], where: str) -> None:
    """Raise `MerError` naming the first key of `kinds` that a mapping lacks, or has with a value of another type."""
    if not isinstance(values, dict):
        raise MerError(f"{where}: not a JSON object")
    for key, kind in kinds.items():
        if key not in values:
            raise MerError(f"{where}: '{key}' is missing")
        value = values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise MerError(f"{where}: '{key}' is of the wrong type ({type(value).__name__})")
