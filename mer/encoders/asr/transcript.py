"""What was said in a clip, how it is stored, and which of two transcripts counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field(
            "words",
            pa.list_(pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())])),
            nullable=False,
        ),
        pa.field("left_out", pa.int64(), nullable=False),
    ]
)

Source = Literal["corpus", "asr", "none"]


@dataclass(frozen=True)
class Word:
    """A word and when it is said, in seconds from the start of the clip."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """Recognised text; `words` is empty where the model knows no word times. Silence gives empty text.

    `left_out` counts the windows whose text was left out as made up (`hallucination`).
    """

    text: str
    words: tuple[Word, ...] = ()
    left_out: int = 0

    def later(self, seconds: float) -> Transcript:
        """The same, said so much later."""
        moved = (Word(word.text, word.start + seconds, word.end + seconds) for word in self.words)
        return Transcript(self.text, tuple(moved), self.left_out)


def joined(parts: Iterable[Transcript]) -> Transcript:
    """One transcript of parts in order, their texts set apart by a space."""
    heard = list(parts)
    text = " ".join(part.text for part in heard if part.text)
    return Transcript(text, tuple(word for part in heard for word in part.words), sum(part.left_out for part in heard))


def about_left_out(windows: int) -> list[tuple[str, str]]:
    """The note of a clip of which text was left out: a stable name and a line for people; none where it was not."""
    if not windows:
        return []
    how = "it went in circles, or was read into a window without speech"
    return [("made-up text", f"the recogniser's text of {windows} window{'s' * (windows > 1)} was left out: {how}")]


class Transcriber(Protocol):
    """Recognises speech; what a clip gets does not depend on the batch."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the text: weights, parameters, code version."""

    def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        """The transcript of each waveform, float32 [samples] at 16 kHz in [-1, 1]."""


@dataclass(frozen=True)
class Chosen:
    """The text of a clip, where it came from, and its words' times where those are known."""

    text: str
    source: Source
    words: tuple[Word, ...] = ()


def to_record(transcript: Transcript) -> dict[str, Any]:
    """A row of `SCHEMA`."""
    return asdict(transcript)


def from_record(record: Mapping[str, Any]) -> Transcript:
    """Read what `to_record` wrote."""
    return Transcript(record["text"], tuple(Word(**word) for word in record["words"]), record["left_out"])


def merge_transcripts(corpus_texts: Sequence[str | None], asr_texts: Sequence[Transcript | str | None]) -> list[Chosen]:
    """One text a clip: the corpus' own, which people checked, wherever it says anything; else what ASR heard; else ''.

    The two are never mixed within a clip: word times are ASR's, and they hold for its own words only.

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    return [_choose(checked, heard) for checked, heard in zip(corpus_texts, asr_texts, strict=True)]


def _choose(checked: str | None, heard: Transcript | str | None) -> Chosen:
    if checked and checked.strip():
        return Chosen(checked.strip(), "corpus")
    if isinstance(heard, str):
        heard = Transcript(heard)
    if heard is not None and heard.text.strip():
        return Chosen(heard.text.strip(), "asr", heard.words)
    return Chosen("", "none")
