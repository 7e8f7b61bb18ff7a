"""The table of docs/reliability.md: every promise with its tests, run with larger numbers than in CI.

python -m tests.reliability.table [--seconds 600]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.reliability.storm import REPOSITORY, storm

PROMISES = {
    "no row is lost, whatever writes, dies, merges, prunes and breaks": ["tests/store/test_state_machine.py"],
    "two processes at the worst moment": ["tests/store/test_races.py"],
    "only its own bytes may condemn a shard": ["tests/store/test_machine_faults.py", "tests/store/test_cache.py"],
    "a cache shared by users": ["tests/store/test_sharing.py"],
    "mer cache touches nothing but ours": ["tests/store/test_mixed_folders.py", "tests/store/test_upkeep.py"],
    "no digest of another file": ["tests/store/test_keys.py"],
    "nothing outlives what it works for": ["tests/reliability/test_orphans.py"],
    "where the work runs changes no bit": ["tests/reliability/test_same_bytes.py"],
    "a decoder can read and answer, no more": ["tests/media/test_confine.py", "tests/media/test_sandbox.py"],
    "a forged answer costs its clip": ["tests/media/test_answers.py"],
    "params.yaml is refused in one line": ["tests/test_params_doors.py", "tests/test_params.py"],
    "a model folder decides what it computes, no more": ["tests/encoders/test_folder_doors.py"],
    "class names keep their names": [
        "tests/evaluation/test_class_names.py",
        "tests/evaluation/report/test_any_class_names.py",
    ],
    "a checkpoint is one line, and nothing of it runs": ["tests/reliability/test_checkpoints.py"],
    "a bundle predicts, or is one line": ["tests/reliability/test_bundles.py"],
    "a corpus is read whole, or is one line": ["tests/reliability/test_corpora.py"],
    "a number that is none is told where it arises": ["tests/reliability/test_not_a_number.py"],
    "a terminal of ASCII is enough": ["tests/reliability/test_ascii_terminals.py"],
}


def run(paths: list[str]) -> tuple[str, bool]:
    """What pytest counted, and whether all passed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-o", "addopts=--import-mode=importlib", "--tb=no", *paths],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "MER_STATE_MACHINES": "500", "MER_RELIABILITY": "large"},
        check=False,
    )
    return re.sub(r" in [\d.]+s.*|=+ ?", "", done.stdout.strip().splitlines()[-1]), done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    print("| promise | tests | last run |\n|---|---|---|")
    good = True
    for promise, paths in PROMISES.items():
        counted, passed = run(paths)
        good &= passed
        print(f"| {promise} | {', '.join(f'`{path}`' for path in paths)} | {counted} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        result = storm(arguments.processes, arguments.seconds, Path(folder) / "cache")
    good &= not (result.lost or result.errors)
    print(f"| no row is lost in a storm of {arguments.processes} processes, {arguments.seconds:g} s ", end="")
    print(f"| `tests/reliability/storm.py` | {result} |")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
