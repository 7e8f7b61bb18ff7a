"""The table of docs/reliability.md: every promise with its tests, run with larger numbers than in CI.

python -m tests.reliability.table [--seconds 600] [--kills 100]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.reliability.kills import Ordeal, Tally
from tests.reliability.storm import REPOSITORY, storm

PROMISES = {
    "no row is lost, whatever writes, dies, merges, prunes and breaks": ["tests/store/test_state_machine.py"],
    "two processes at the worst moment": ["tests/store/test_races.py"],
    "only its own bytes may condemn a shard": ["tests/store/test_machine_faults.py", "tests/store/test_cache.py"],
    "a cache shared by users": ["tests/store/test_sharing.py"],
    "mer cache touches nothing but ours": ["tests/store/test_mixed_folders.py", "tests/store/test_upkeep.py"],
    "no digest of another file; a damaged index costs itself": ["tests/store/test_keys.py"],
    "what the machine breaks is in no result, and the next run ends with the same bytes": [
        "tests/extraction/test_machine_failures.py",
        "tests/extraction/test_disks.py",
    ],
    "what proves corrupt in a run is made again by that run": ["tests/extraction/test_face.py"],
    "a DVC that was killed leaves nothing that stops the next": ["tests/test_half_written.py"],
    "nothing outlives what it works for": ["tests/reliability/test_orphans.py"],
    "where the work runs changes no bit": ["tests/reliability/test_same_bytes.py"],
    "a decoder can read and answer, no more": ["tests/media/test_confine.py", "tests/media/test_sandbox.py"],
    "a forged answer costs its clip": ["tests/media/test_answers.py"],
    "hostile media cost themselves, and nothing of them is lost without a word": [
        "tests/media/test_silent_loss.py",
        "tests/media/test_decode.py",
    ],
    "params.yaml is taken or refused in one line": ["tests/test_params_doors.py", "tests/test_params.py"],
    "every weight is read, or refused by name": ["tests/encoders/test_weight_coverage.py"],
    "a model folder decides what it computes, no more": ["tests/encoders/test_folder_doors.py"],
    "class names keep their names": [
        "tests/evaluation/test_class_names.py",
        "tests/evaluation/report/test_any_class_names.py",
    ],
    "a checkpoint is one line, and nothing of it runs": ["tests/reliability/test_checkpoints.py"],
    "a bundle predicts, or is one line": ["tests/reliability/test_bundles.py"],
    "a corpus is read whole, or is one line": ["tests/reliability/test_corpora.py"],
    "a number that is none is told where it arises": ["tests/reliability/test_not_a_number.py"],
    "self-training claims what fresh clips say": ["tests/self_training/test_claims.py"],
    "a terminal of ASCII is enough": ["tests/reliability/test_ascii_terminals.py"],
    "the report shows hostile names as they are": ["tests/evaluation/report/test_page.py"],
    "decoded bytes exist once; a clone trains on what it pulls": ["tests/reliability/test_whole_pipeline.py"],
}


def run(paths: list[str]) -> tuple[str, bool]:
    """What pytest counted, and whether all passed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-o", "addopts=--import-mode=importlib", "--tb=no", *paths],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "MER_STATE_MACHINES": "500", "MER_RELIABILITY": "large", "MER_FUZZ": "1000"},
        check=False,
    )
    return re.sub(r" in [\d.]+s.*|=+ ?", "", done.stdout.strip().splitlines()[-1]), done.returncode == 0


def _storm(processes: int, seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        result = storm(processes, seconds, Path(folder) / "cache")
    what = f"no row is lost in a storm of {processes} processes, {seconds:g} s"
    print(f"| {what} | `tests/reliability/storm.py` | {result} |", flush=True)
    return not (result.lost or result.errors)


def _kills(kills: int) -> bool:
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        Ordeal(Path(folder), seed=0).kill_until(kills, tally, None)
    print(f"| the same bytes, whatever is killed | `tests/reliability/kills.py` | {tally} |", flush=True)
    return not tally.faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=600, help="of the storm; 0 leaves it out")
    parser.add_argument("--kills", type=int, default=0, help="over the whole pipeline; 100 take an hour")
    arguments = parser.parse_args()
    print("| promise | tests | last run |\n|---|---|---|")
    good = True
    for promise, paths in PROMISES.items():
        counted, passed = run(paths)
        good &= passed
        print(f"| {promise} | {', '.join(f'`{path}`' for path in paths)} | {counted} |", flush=True)
    if arguments.seconds:
        good &= _storm(arguments.processes, arguments.seconds)
    if arguments.kills:
        good &= _kills(arguments.kills)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
