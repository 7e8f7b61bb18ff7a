"""What the stage scripts share: params in, one line for a user's mistake, notes on the work done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mer.clips import read_clips
from mer.errors import MerError
from mer.learning.features import FeatureSet, build_feature_set
from mer.params import Params, load_params
from mer.store.fill import FillReport
from mer.store.tables import read_utterances


def run(stage: Callable[[Params], None]) -> None:
    """Run a stage's function on the params of the working directory; exit 1 with one line on a `MerError`."""
    try:
        stage(load_params())
    except MerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: what was finished is kept; run again to go on")


def read_features(modalities: Sequence[str]) -> FeatureSet:
    """The clip table joined with the utterance tables of the modalities asked for."""
    tables = {name: read_utterances(f"data/features/{name}/utterance.parquet") for name in modalities}
    return build_feature_set(read_clips("data/clips.parquet"), tables)


def note_work(stage: str, **reports: FillReport) -> None:
    """Print, and leave in metrics/work/, how many results a run computed and how many it found in the cache.

    The folder is no out of any stage and not in git: it tells of the last run, where outs tell of the parameters.
    """
    counts = {
        name: {"computed": report.done, "cached": report.cached, "failed": len(report.failed)}
        for name, report in reports.items()
    }
    write_json(f"metrics/work/{stage}.json", counts)
    for name, of in counts.items():
        print(f"{name}: {of['computed']} computed, {of['cached']} from the cache, {of['failed']} failed")


def write_curve(path: str | Path, rows: pd.DataFrame) -> None:
    """Write plot points as CSV, numbers with six digits, making the folder where it is missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON, keys in the order given, making the folder where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
