"""The text of a table as it was saved: UTF-8, UTF-16 with a byte order mark, or what `corpus.encoding` says."""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path

from mer.errors import MerError
from mer.running.foreign import said

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Byte order marks, the longer ones first: the mark of UTF-32 begins with that of UTF-16."""


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """The whole of a text file. A mark at its beginning says more than `encoding`; line ends stay as they are.

    Raises:
        MerError: the file is missing, no file of text, or in another encoding; the line says which one it may be.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise MerError(f"{path}: not a file of rows")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise MerError(f"{path}: {getattr(error, 'strerror', None) or said(error)}") from None
    if data.startswith(b"PK\x03\x04"):
        raise MerError(f"{path}: a spreadsheet or another archive, not text; save it as CSV")
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    if marked == "utf-32":
        raise MerError(f"{path}: in UTF-32; save it as UTF-8")
    try:
        return data.decode(marked or encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = "UTF-16" if marked == "utf-16" else encoding.upper()
        hint = _hint(data) if marked is None else "save it as UTF-8"
        raise MerError(f"{path}: not {name} (near line {line}); {hint}") from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, whatever ends them: a line feed, a carriage return, or both. `str.splitlines` would part
    what is said at U+2028, U+0085 and others, too."""
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def _hint(data: bytes) -> str:
    """What to do with text that is not UTF-8: Chinese text of Windows shows by its bytes, Western text does not."""
    for name in ("utf-8", "gb18030"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        chinese = [letter for letter in text if "\u4e00" <= letter <= "\u9fff"]
        if name == "utf-8" or chinese:
            words = f" ('{''.join(chinese[:6])}')" if chinese else ""
            return f"it reads as {name.upper()}{words}: set corpus.encoding: {name}, or save it as UTF-8"
    return "save it as UTF-8, or name its encoding in corpus.encoding"
