"""Conversions by the name that the catalogue gives them, made reproducible down to the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mer.weights.catalogue import Convert

NOTICES = ("LICENSE", "NOTICE")


def conversion(name: str) -> Convert:
    """The conversion of this name; each imports what it needs when it is asked for."""
    return CONVERSIONS[name]


def _copy(source: Path, out: Path) -> None:
    from mer.weights.unpack import copy_folder

    copy_folder(source, out)


def _whisper(source: Path, out: Path) -> None:
    from mer.weights.whisper import convert_whisper

    convert_whisper(source, out)


def _sentence_encoder(source: Path, out: Path) -> None:
    from mer.weights.sentence_encoder import convert_sentence_encoder

    convert_sentence_encoder(source, out)


def _face_expression(source: Path, out: Path) -> None:
    from mer.weights.face_expression import convert_face_expression

    convert_face_expression(source, out)


CONVERSIONS: Mapping[str, Convert] = {
    "copy": _copy,
    "whisper": _whisper,
    "sentence_encoder": _sentence_encoder,
    "face_expression": _face_expression,
}
