"""`mer evaluate`: a bundle on another corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mer.errors import MerError
from mer.predict_cli import Weights
from mer.running.console import speaks_unicode


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Trained bundle")],
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus to try it on")],
    layout: Annotated[str, typer.Option(help="How that corpus lies on disk, as corpus.layout")] = "folder",
    labels: Annotated[str, typer.Option(help="For folder: the CSV file with the labels")] = "labels.csv",
    column: Annotated[
        list[str] | None, typer.Option(help="For folder: our name of a column, '=' and its name there; repeatable")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Their label, '=' and ours; nothing after '=' leaves such clips out; repeatable"),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="A target of the bundle that the corpus has as well; repeatable")
    ] = None,
    weights: Weights = None,
    out: Annotated[Path | None, typer.Option(help="Write the predictions to this Parquet file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
) -> None:
    """Score a bundle on another corpus: intervals, chance, the shift of the classes' shares, calibration."""
    from mer.cross_corpus import evaluate_elsewhere
    from mer.evaluation.cross_corpus import told
    from mer.params import parse_params

    values: dict[str, object] = {"root": str(corpus), "layout": layout}
    if layout == "folder":
        values |= {"labels": labels, "columns": dict(_pair("--column", one) for one in column or [])}
    if target:
        values |= {"target": target}
    params = parse_params({"corpus": values}, source="mer evaluate")
    stdout, sys.stdout = sys.stdout, sys.stderr  # what the steps say of their work is no result
    try:
        names = dict(_pair("--map", one) for one in map_ or [])
        lie = dict(_pair("--weights", one) for one in weights or [])
        found, predictions = evaluate_elsewhere(bundle, params.corpus, names, lie)
    finally:
        sys.stdout = stdout
    if out is not None:
        predictions.to_parquet(out, index=False)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=not speaks_unicode()))
    else:
        print("\n".join(told(found)))


def _pair(option: str, given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name.strip():
        raise MerError(f"{option} {given}: expected a name, '=' and what it stands for")
    return name.strip(), value.strip()
