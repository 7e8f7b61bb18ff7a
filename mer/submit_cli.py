"""`mer submit`: the challenge's file, written only if it is what the list of candidates asks for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

PREDICTIONS = "data/predictions.parquet"


def submit(
    candidates: Annotated[Path, typer.Option(help="The challenge's list: a CSV file with 'name', or a name a line")],
    out: Annotated[Path, typer.Option(help="The file to write")] = Path("submission.csv"),
    predictions: Annotated[str, typer.Option(help="Predictions file, commit or experiment")] = PREDICTIONS,
    target: Annotated[str | None, typer.Option(help="A target to add as a column, such as valence")] = None,
    check: Annotated[Path | None, typer.Option(help="Check this file instead of writing one")] = None,
) -> None:
    """Write name,discrete for every candidate, in the list's order; or say what is wrong with it, and exit with 1."""
    from mer.clips import read_labels
    from mer.evaluation.candidates import faults, read_candidates, read_submission
    from mer.evaluation.runs import read_predictions
    from mer.evaluation.submission import submission, submission_of

    names = read_candidates(candidates)
    if check is not None:
        labels = Path("data/labels.parquet")
        classes = read_labels(labels).classes if labels.exists() else ()
        table = read_submission(check)
    else:
        clips, found = read_labels("data/labels.parquet"), read_predictions(predictions)
        classes, table = clips.classes, submission(found, clips)
        if set(names) <= set(table["name"]) and not (clips.rows["split"] == "test").any():
            table = submission_of(found, names)  # a list that is a part of the unlabeled clips
        if set(names) == set(table["name"]):
            table = submission_of(found, names, target)
    wrong = faults(table, names, classes, target=target)
    if check is None and len(wrong) > 1 and target is not None:
        wrong = [line for line in wrong if not line.startswith(f"{target}: ")]  # added once the names are right
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    if check is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False, lineterminator="\n")
    print(f"{check or out}: {len(table)} clips, as the list has them")
