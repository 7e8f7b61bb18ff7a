"""Features of files that wait for their group: a line of JSON each, so that a killed run need not read them again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mer.encoders.asr.transcript import Word
from mer.encoders.base import Features
from mer.prediction.extractor import Extracted
from mer.prediction.finished import state_of
from mer.prediction.forms import json_lines
from mer.prediction.source import Source
from mer.store.keys import digest

ENDING = ".features"


class Journal:
    """A file of lines at `path`; those of another bundle, and a last one that was cut off, are passed over."""

    def __init__(self, path: Path, bundle: str) -> None:
        self.path, self.bundle = path, bundle
        self.known: dict[str | None, Extracted] = {}
        """By `key_of` their files."""

    def __enter__(self) -> Self:
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for line in json_lines(whole.decode(errors="replace")):
            values = json.loads(line)
            if values["bundle"] == self.bundle and values.get("key"):
                self.known[values["key"]] = _from_line(values)
        if len(whole) < len(content):
            self.path.write_bytes(whole)
        self._file = self.path.open("ab")
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def add(self, source: Source, key: str | None, found: Extracted) -> None:
        """Note one file by its key before it was read; not what the machine is to blame for."""
        if found.transient or key is None:
            return
        line = {"path": source.path, "key": key, "bundle": self.bundle, **_to_line(found)}
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()


def key_of(source: Source) -> str | None:
    """Changes with the file and with the transcript that is given; None where there is no file."""
    file = state_of(source)
    return None if file is None else digest(file, source.transcript)


def _to_line(found: Extracted) -> dict[str, Any]:
    return {
        "features": {
            name: [_packed(of.embedding, "<f4"), of.frames, of.ok, of.note] for name, of in found.features.items()
        },
        "values": {
            name: [_packed(of.values, "<f2"), of.values.shape[1]]
            for name, of in found.features.items()
            if of.values is not None
        },
        "transcript": found.transcript,
        "source": found.source,
        "words": [asdict(word) for word in found.words],
        "seconds": found.seconds,
        "notes": list(found.notes),
    }


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _from_line(values: Mapping[str, Any]) -> Extracted:
    frames_of = {
        name: np.frombuffer(base64.b64decode(data), "<f2").astype(np.float16).reshape(-1, width)
        for name, (data, width) in values["values"].items()
    }
    features = {
        name: Features(
            np.frombuffer(base64.b64decode(data), "<f4").astype(np.float32), frames, ok, frames_of.get(name), note
        )
        for name, (data, frames, ok, note) in values["features"].items()
    }
    words = tuple(Word(**word) for word in values["words"])
    of = values
    return Extracted(features, of["transcript"], of["source"], words, of["seconds"], None, tuple(of["notes"]))
