"""Files to a table, gone on with where an earlier run was ended."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mer.errors import ClipError, MerError, first_few
from mer.params import ComputeParams
from mer.prediction.answer import Prediction
from mer.prediction.extractor import Extracted
from mer.prediction.finished import Finished, state_of
from mer.prediction.journal import ENDING, Journal, key_of
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.tables import Columns, Table
from mer.prediction.voting import failed, predictions
from mer.running.machine import explain

FILES = ".files"
"""Ends the name of the file that says what the rows of a table were made of."""


def predict_to_table(
    predictor: Predictor, sources: Sequence[Source], out: str | Path, compute: ComputeParams
) -> Iterator[Prediction]:
    """Predict the files that a table lacks, and write their rows as they come; gives what is new, as it is written.

    `<out>.files` says what each row was made of: a file that changed since, or that is said to have another group or
    transcript, is predicted anew. What is not noted there, in a table of an earlier version, is taken to be as it was.

    Where clips are standardised within groups, all of a run are predicted anew once every one is read, because a clip
    more changes what its group is; their features wait in `<out>.features` meanwhile.

    Raises:
        MerError: see `Table`.
    """
    table = Table(out, Columns(predictor.classes, predictor.views, identity(predictor.folder), predictor.targets))
    with table, Finished(table.path.with_name(table.path.name + FILES)) as noted:
        stale = _stale(sources, table, noted)
        if stale:
            told = f"{len(stale)} files, or what is given of them, changed since, and are predicted anew"
            print(f"{out}: {told}: {first_few(stale)}", file=sys.stderr)
            table.forget(stale)
        if predictor.by_group:
            yield from _by_group(predictor, sources, table, noted, compute)
        else:
            wanting = [source for source in sources if source.path not in table.rows]
            with closing(predictor.stream(wanting, compute, ordered=False)) as found:
                for number, prediction in found:
                    table.add(prediction)
                    noted.add(wanting[number], True)
                    yield prediction
        table.finish([source.path for source in sources])


def _stale(sources: Sequence[Source], table: Table, noted: Finished) -> list[str]:
    """The paths whose rows no longer hold; rows of which nothing is noted are noted as they are."""
    found = []
    for source in sources:
        changed = noted.changed(source)
        if source.path in table.rows and changed:
            found.append(source.path)
        elif source.path in table.rows and changed is None and state_of(source) is not None:
            noted.add(source, True)
    return found


def identity(folder: Path) -> str:
    """Twelve hex digits that tell a bundle from others: of its experts' weights."""
    with (folder / "members.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _by_group(
    predictor: Predictor, sources: Sequence[Source], table: Table, noted: Finished, compute: ComputeParams
) -> Iterator[Prediction]:
    if all(one.path in table.rows and table.groups.get(one.path) == one.group for one in sources):
        return
    path = table.path.with_name(table.path.name + ENDING)
    try:
        with Journal(path, table.columns.bundle) as journal:
            found = _gathered(predictor, sources, journal, compute)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MerError(f"{path}: {explain(error) if isinstance(error, OSError) else 'damaged; delete it'}") from None
    good = [(i, one) for i, one in enumerate(found) if isinstance(one, Extracted)]
    voted = predictions(predictor.classifier, [sources[i] for i, _ in good], [one for _, one in good])
    by_place = dict(zip([i for i, _ in good], voted, strict=True))
    table.forget([source.path for source in sources])
    for i, (source, one) in enumerate(zip(sources, found, strict=True)):
        prediction = failed(source, one) if isinstance(one, ClipError) else by_place[i]
        table.add(prediction)
        noted.add(source, True)
        yield prediction
    path.unlink()


def _gathered(
    predictor: Predictor, sources: Sequence[Source], journal: Journal, compute: ComputeParams
) -> list[Extracted | ClipError]:
    """Features of all files, those that the journal lacks read and noted."""
    keys = [key_of(source) for source in sources]
    wanting = [i for i, key in enumerate(keys) if key not in journal.known]
    new: dict[int, Extracted | ClipError] = {}
    with closing(predictor.extracted([sources[i] for i in wanting], compute, ordered=False)) as found:
        for number, one in found:
            i = wanting[number]
            new[i] = one
            if isinstance(one, Extracted):
                journal.add(sources[i], keys[i], one)
    return [new[i] if i in new else journal.known[key] for i, key in enumerate(keys)]
