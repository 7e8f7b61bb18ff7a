"""What the stage scripts share: params in, one line for what went wrong, notes on the work done."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from mer.errors import MerError
from mer.params import Params, load_params
from mer.running.console import LOCALE, take_any_letter, told
from mer.running.lifeline import stage_alone
from mer.running.machine import explain

KEPT = "what was finished is kept; run again to go on"


class Work(Protocol):
    """What a per-clip step did."""

    @property
    def computed(self) -> int: ...

    @property
    def cached(self) -> int: ...

    @property
    def failed(self) -> Mapping[str, Any]: ...


def run(stage: Callable[[Params], None]) -> None:
    """Run a stage's function on the params of the working directory; exit 1 with one line where it fails.

    A fault of the code itself keeps its traceback. The stage ends with the DVC that started it: see `lifeline`.
    """
    take_any_letter()
    try:
        with stage_alone("-".join([Path(sys.argv[0]).stem, *sys.argv[1:]]).replace("/", "-")):
            stage(load_params())
    except MerError as error:
        sys.exit(f"error: {told(error)}")
    except UnicodeEncodeError:
        sys.exit(f"error: {LOCALE}")
    except (OSError, MemoryError, pa.ArrowMemoryError, sqlite3.OperationalError) as error:
        sys.exit(f"error: {_machine(error)}; {KEPT}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted: {KEPT}")


def _machine(error: Exception) -> str:
    if isinstance(error, OSError | MemoryError):
        return explain(error)
    return " ".join(str(error).split())


def note_work(stage: str, **steps: Work) -> None:
    """Leave in metrics/work/ how many results a run computed and how many it found in the cache.

    The folder is no out of any stage and not in git: it tells of the last run, where outs tell of the parameters.
    """
    counts = {
        name: {"computed": step.computed, "cached": step.cached, "failed": len(step.failed)}
        for name, step in steps.items()
    }
    write_json(f"metrics/work/{stage}.json", counts)


def write_curve(path: str | Path, rows: pd.DataFrame) -> None:
    """Write plot points as CSV, numbers with six digits, making the folder where it is missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON, keys in the order given, making the folder where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
