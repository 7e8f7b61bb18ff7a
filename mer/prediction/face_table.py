"""A table with a row for every face of many clips; a killed run leaves what it did in `<out>.part`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mer.errors import ClipError, MerError
from mer.prediction.answer import rounded, target_columns
from mer.prediction.faces import Face, predict_faces
from mer.prediction.finished import Finished
from mer.prediction.forms import csv_bytes, line_bytes, parquet_bytes
from mer.prediction.many import identity
from mer.prediction.naming import check_outs
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.tables import PART
from mer.running.machine import explain


def faces_to_table(
    predictor: Predictor, sources: Sequence[Source], out: Path
) -> Iterator[tuple[Source, int | ClipError]]:
    """Predict every face of clips and write a table; gives how many faces each has, or why it cannot be predicted.

    Clips that an ended run was through with are not predicted again. Those at which the machine failed are: where there
    are any, the others stay noted in `<out>.part`, so that the next run does these alone.

    Raises:
        MerError: the ending names no table, or a file cannot be written.
    """
    row = row_of(out)
    check_outs([out])
    part, rows, again = out.with_name(out.name + PART), list[dict[str, Any]](), 0
    with Finished(part, "faces", identity(predictor.folder), out.suffix.lower()) as finished:
        for source in sources:
            found = finished.what(source)
            if found is None:
                try:
                    faces = predict_faces(predictor, source)
                except ClipError as error:
                    again += error.transient
                    yield source, error
                    continue
                found = [row(one) for one in faces]
                if any(one.prediction.transient for one in faces):
                    again += 1
                else:
                    finished.add(source, found)
            rows += found
            yield source, len(found)
        write_faces(out, rows)
        if again:
            print(
                f"{out}: {again} clips met a fault of the machine or a limit: run again to do them anew",
                file=sys.stderr,
            )
        else:
            part.unlink()


def row_of(path: Path) -> Callable[[Face], dict[str, Any]]:
    """What makes the row of a face for the table at `path`; times and boxes are JSON in a cell of CSV and Parquet.

    Raises:
        MerError: the ending names no table.
    """
    row = ROWS.get(path.suffix.lower())
    if row is None:
        raise MerError(f"--out {path}: the ending of a table of faces is {', '.join(ROWS)}")
    return row


def write_faces(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a row a face, each of `row_of` this path; it is there whole, or as it was.

    Raises:
        MerError: the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending == ".jsonl":
        content = line_bytes(rows)
    else:
        content = csv_bytes(rows, ("path", "face")) if ending == ".csv" else parquet_bytes(rows)
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(content)
        os.replace(new, path)
    except OSError as error:
        raise MerError(f"--out {explain(error, path)}") from None


def _flat(one: Face) -> dict[str, Any]:
    values = one.as_dict()
    own = rounded(one.prediction.probabilities)
    row = {name: values[name] for name in ("path", "face", "speaks", "correlation", "label")}
    row |= {f"p_{name}": value for name, value in own.items()}
    row |= target_columns(one.prediction.targets, list(one.prediction.targets))
    return row | {name: json.dumps(values[name]) for name in ("times", "boxes")}


ROWS: Mapping[str, Callable[[Face], dict[str, Any]]] = {".csv": _flat, ".jsonl": Face.as_dict, ".parquet": _flat}
"""By ending, in lower case."""
