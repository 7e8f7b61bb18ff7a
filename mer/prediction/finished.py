"""Which files an earlier run was through with: a line of JSON each, so that a killed run need not start them again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from mer.errors import MerError
from mer.prediction.forms import json_lines
from mer.prediction.source import Source
from mer.prediction.tables import locked
from mer.running.machine import explain
from mer.store.keys import digest

MISSING = ""
"""Notes a file that was not there: when it is, it has changed."""


class Finished:
    """A file of lines at `path`, each a file that was predicted and `what` came of it.

    `made` is all that decides the outcome beside the file itself: the bundle and the options. Lines of another `made`,
    of a file that has changed since, and a last line that was cut off are passed over. A file is noted as it was when
    it was asked about.

    Raises:
        MerError: the file cannot be written, holds something else, or another run writes it.
    """

    def __init__(self, path: Path, *made: Any) -> None:
        self.path, self._made = path, made
        self._known: dict[str, Any] = {}
        self._latest: dict[str, str] = {}
        self._asked: dict[Source, str | None] = {}

    def __enter__(self) -> Self:
        try:
            self._file = locked(self.path)
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            for line in json_lines(whole.decode()):
                values = json.loads(line)
                self._known[str(values["key"])] = values["what"]
                self._latest[values["path"]] = str(values["key"])
            self._file.truncate(len(whole))
        except OSError as error:
            raise MerError(f"{explain(error, self.path)}") from None
        except (ValueError, KeyError, TypeError):
            raise MerError(
                f"{self.path}: not what `mer predict` notes there; delete it, or name another --out"
            ) from None
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def what(self, source: Source) -> Any:
        """What came of a file; None where that is not known."""
        key = self._key(source)
        return None if key is None else self._known.get(key)

    def changed(self, source: Source) -> bool | None:
        """Whether a file, its group or its transcript is another than when it was noted last; None where it never was,
        or is gone."""
        key, noted = self._key(source), self._latest.get(source.path)
        return None if key is None or noted is None else key != noted

    def add(self, source: Source, what: Any) -> None:
        """Note a file; it is on its way to the disk when this returns."""
        key = self._asked[source] if source in self._asked else self._key(source)
        key = MISSING if key is None else key
        self._known[key], self._latest[source.path] = what, key
        line = json.dumps({"path": source.path, "key": key, "what": what}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def _key(self, source: Source) -> str | None:
        file = state_of(source)
        key = None if file is None else digest(file, source.group, source.transcript, *self._made)
        self._asked[source] = key
        return key


def state_of(source: Source) -> list[str | int] | None:
    """Changes with the file; None where there is none."""
    try:
        about = os.stat(source.file)
    except (OSError, ValueError):
        return None
    return [os.path.realpath(source.file), about.st_size, about.st_mtime_ns]
