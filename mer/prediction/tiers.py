"""A timeline in the forms that people look at: subtitles (.srt, .vtt), annotation tiers of ELAN (.eaf) and Praat
(.TextGrid), and tables (.csv, .jsonl, .parquet)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from mer.errors import MerError
from mer.prediction.answer import rounded, target_columns
from mer.prediction.forms import csv_bytes, line_bytes, parquet_bytes
from mer.running.machine import explain

if TYPE_CHECKING:
    from mer.prediction.timeline import Utterance

MAKES = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

Interval = tuple[float, float, str]
"""Start and end in seconds, and a text."""


def write(path: str | Path, found: Sequence[Utterance], media: str) -> None:
    """Write a timeline in the form that the ending names; the file is there whole, or as it was.

    Args:
        path: `.srt`, `.vtt`, `.eaf`, `.TextGrid`, `.csv`, `.jsonl` or `.parquet`.
        found: utterances in order.
        media: name of the film.

    Raises:
        MerError: the ending names no form, or the file cannot be written.
    """
    form = form_of(path)
    path = Path(path)
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(form(found, media))
        os.replace(new, path)
    except OSError as error:
        raise MerError(f"--out {explain(error, path)}") from None


def form_of(path: str | Path) -> Callable[[Sequence[Utterance], str], bytes]:
    """What writes the form that an ending names; `MerError` where it names none."""
    form = FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise MerError(f"--out {path}: the ending of a timeline is one of {', '.join(FORMS)}")
    return form


def srt(found: Sequence[Utterance], media: str) -> bytes:
    """SubRip: numbered, with a comma before the milliseconds."""
    parts = [
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_caption(one)}\n"
        for number, one in enumerate(_told(found), 1)
    ]
    return "\n".join(parts).encode()


def vtt(found: Sequence[Utterance], media: str) -> bytes:
    """WebVTT."""
    parts = [
        f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{escape(_caption(one), quote=False)}\n"
        for one in _told(found)
    ]
    return "\n".join(["WEBVTT\n", *parts]).encode()


def eaf(found: Sequence[Utterance], media: str) -> bytes:
    """ELAN's annotation format 3.0, a tier for the emotion, one for each target (`t_<name>`), one for what was said,
    one for words where known."""
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "mer",
            "DATE": "1970-01-01T00:00:00+00:00",  # the same timeline gives the same bytes
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": INSTANCE,
            "xsi:noNamespaceSchemaLocation": MAKES,
        },
    )
    header = ElementTree.SubElement(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    url = {"MEDIA_URL": Path(os.path.abspath(media)).as_uri(), "RELATIVE_MEDIA_URL": f"./{os.path.basename(media)}"}
    ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", url | {"MIME_TYPE": "unknown"})
    order = ElementTree.SubElement(document, "TIME_ORDER")
    slots = annotations = 0
    for name, intervals in _tiers(found).items():
        tier = ElementTree.SubElement(document, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": name})
        for start, end, text in intervals:
            slots, annotations = slots + 2, annotations + 1
            ids = [f"ts{slots - 1}", f"ts{slots}"]
            for slot, second in zip(ids, (start, end), strict=True):
                place = {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(second * 1000))}
                ElementTree.SubElement(order, "TIME_SLOT", place)
            one = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION")
            one.attrib |= {"ANNOTATION_ID": f"a{annotations}", "TIME_SLOT_REF1": ids[0], "TIME_SLOT_REF2": ids[1]}
            ElementTree.SubElement(one, "ANNOTATION_VALUE").text = text
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", kind)
    ElementTree.indent(document)
    return ElementTree.tostring(document, encoding="UTF-8", xml_declaration=True) + b"\n"


def textgrid(found: Sequence[Utterance], media: str) -> bytes:
    """Praat's long text form; its intervals leave no gap, so silences have an empty text."""
    end = max((one.end for one in found), default=1.0)
    tiers = _tiers(found)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        filled = list(_filled(intervals, end))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {end:.6f}", f"        intervals: size = {len(filled)}"]
        for place, (start, stop, text) in enumerate(filled, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {stop:.6f}",
            ]
            lines += [f"            text = {_quoted(text)}"]
    return ("\n".join(lines) + "\n").encode()


def rows(found: Sequence[Utterance]) -> list[dict[str, Any]]:
    """A flat row an utterance: `p_<class>` and `t_<target>` as predicted, `s_<class>` smoothed."""
    classes = next((list(one.smoothed) for one in found if one.smoothed is not None), [])
    modalities = next((list(one.prediction.modalities) for one in found if one.prediction.modalities), [])
    return [_row(one, classes, _targets(found), modalities) for one in found]


def _targets(found: Sequence[Utterance]) -> list[str]:
    return next((list(one.prediction.targets) for one in found if one.prediction.targets), [])


def _row(one: Utterance, classes: Sequence[str], targets: Sequence[str], modalities: Sequence[str]) -> dict[str, Any]:
    own, near = rounded(one.prediction.probabilities), rounded(one.smoothed or {})
    row: dict[str, Any] = {"path": one.prediction.path, "start": round(one.start, 3), "end": round(one.end, 3)}
    row |= {"label": one.prediction.label, "smoothed_label": one.label}
    row |= {f"p_{name}": own.get(name) for name in classes} | {f"s_{name}": near.get(name) for name in classes}
    row |= target_columns(one.prediction.targets, targets)
    row |= {f"has_{name}": one.prediction.modalities.get(name) for name in modalities}
    return row | {"transcript": one.prediction.transcript or None, "error": one.prediction.error}


def _csv(found: Sequence[Utterance], media: str) -> bytes:
    return csv_bytes(rows(found), ("path", "start", "end"))


def _lines(found: Sequence[Utterance], media: str) -> bytes:
    return line_bytes([one.as_dict() for one in found])


def _parquet(found: Sequence[Utterance], media: str) -> bytes:
    return parquet_bytes(rows(found))


def _told(found: Sequence[Utterance]) -> list[Utterance]:
    return [one for one in found if one.label is not None or one.prediction.targets]


def _caption(one: Utterance) -> str:
    said = _line(one.prediction.transcript)
    told = [f"{_line(one.label)} {one.smoothed[one.label]:.2f}"] if one.smoothed and one.label else []
    told += [f"{_line(name)} {of.value:.4g}" for name, of in one.prediction.targets.items()]
    return f"[{', '.join(told)}]" + (f" {said}" if said else "")


def _line(text: str) -> str:
    """Text that ends no caption."""
    return " ".join(text.split()).replace("-->", "->")


def _clock(seconds: float, point: str) -> str:
    total = round(seconds * 1000)
    hours, minutes, rest = total // 3_600_000, total // 60_000 % 60, total % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _tiers(found: Sequence[Utterance]) -> Mapping[str, list[Interval]]:
    said = [(one.start, one.end, _line(one.prediction.transcript)) for one in found if one.prediction.transcript]
    words = [(word.start, word.end, _line(word.text)) for one in found for word in one.words]
    labels = [(one.start, one.end, str(one.label)) for one in found if one.label is not None]
    targets = {
        f"t_{name}": [
            (one.start, one.end, f"{one.prediction.targets[name].value:.4g}") for one in found if one.prediction.targets
        ]
        for name in _targets(found)
    }
    tiers = ({"emotion": labels} if labels or not targets else {}) | targets
    return tiers | ({"transcript": said} if said else {}) | ({"words": list(_apart(words))} if words else {})


def _apart(intervals: Sequence[Interval]) -> Iterator[Interval]:
    """In order, none beginning before another ends; what has no length is left out."""
    at = 0.0
    for start, end, text in sorted(intervals):
        if round(max(start, at), 3) < round(end, 3):
            yield max(start, at), end, text
            at = end


def _filled(intervals: Sequence[Interval], end: float) -> Iterator[Interval]:
    at = 0.0
    for start, stop, text in intervals:
        if start > at:
            yield at, start, ""
        yield start, stop, text
        at = stop
    if at < end:
        yield at, end, ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


FORMS: Mapping[str, Callable[[Sequence[Utterance], str], bytes]] = {
    ".srt": srt,
    ".vtt": vtt,
    ".eaf": eaf,
    ".textgrid": textgrid,
    ".csv": _csv,
    ".jsonl": _lines,
    ".parquet": _parquet,
}
"""By ending, in lower case."""
