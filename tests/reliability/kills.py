"""Kills at random over the whole pipeline: of a stage, of one of its workers, of dvc itself; then it runs again.

    python -m tests.reliability.kills [--kills 100] [--seed 0] [--tally FILE]

On a dozen clips, what `make repro` does is killed and started again until it ends. The bytes must then be those of an
undisturbed run; nothing of a killed run may be alive half a minute later; and of the per-clip work at most one shard,
here the clips of one step, may be done twice for a kill. With `--tally` the count is kept in a file after each whole
run, and the next call goes on from there.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.processes import Marked, wait_for
from tests.reliability.tiny import CLIPS, DVC, call, environment, make_corpus, make_workspace, results

LEDGER = Path(__file__).parent / "ledger"
SECONDS_TO_END = 30.0
"""For all that a killed run started."""
LONGEST = 1800.0


@dataclass
class Tally:
    """What was killed how often, and all that must not be: orphans, other bytes, more work than a shard done twice."""

    killed: collections.Counter[str] = field(default_factory=collections.Counter)
    rounds: int = 0
    repeated: int = 0
    """Items that were done again after kills."""
    most_repeated: int = 0
    """For one kill."""
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Tally:
        values = json.loads(file.read_text())
        return cls(**values | {"killed": collections.Counter(values["killed"])})

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(vars(self) | {"killed": dict(self.killed)}))

    def repeat(self, items: int, kills: int) -> None:
        self.repeated += items
        self.most_repeated = max(self.most_repeated, -(-items // max(1, kills)))
        if items > CLIPS * kills:
            self.faults.append(f"after {kills} kills {items} clips of a step were done again")

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.killed.items()))
        return (
            f"{self.killed.total()} kills ({kinds}) in {self.rounds} whole runs; for a kill at most "
            f"{self.most_repeated} clips of a step done again, {self.repeated} in all; {len(self.faults)} faults"
        )


class Ordeal:
    """A workspace whose pipeline is killed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.corpus, self.cache, self.ledger = folder / "corpus", folder / "cache", folder / "ledger"
        self.random = random.Random(seed)
        make_corpus(self.corpus)
        self.workspace = make_workspace(folder / "mer", self.corpus)
        begin = time.monotonic()
        run = self.start()
        output = run.process.communicate()[0].decode()
        assert run.process.returncode == 0, output
        self.seconds = time.monotonic() - begin
        self.expected = results(self.workspace)
        assert self.again() == 0, "work is done twice without a kill"

    def start(self) -> Marked:
        names = ("PATH", "MER_CACHE", "OMP_NUM_THREADS")
        wanted = {name: value for name, value in environment(self.cache).items() if name in names}
        return Marked(*DVC, "repro", cwd=self.workspace, **wanted, MER_LEDGER=str(self.ledger), PYTHONPATH=str(LEDGER))

    def again(self) -> int:
        """Items that were done more than once since the last clean start."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return len(lines) - len(set(lines))

    def clean(self) -> None:
        call(self.workspace, "git", "reset", "--quiet", "--hard")  # DVC stages what it writes for git
        call(self.workspace, "git", "clean", "-fdxq")
        shutil.rmtree(self.cache, ignore_errors=True)
        self.ledger.unlink(missing_ok=True)

    def kill_until(self, kills: int, tally: Tally, file: Path | None) -> None:
        """Rounds from nothing to the end, until so many kills were dealt out."""
        while tally.killed.total() < kills:
            self.clean()
            self._round(tally, kills)
            tally.rounds += 1
            if results(self.workspace) != self.expected:
                tally.faults.append(f"round {tally.rounds}: other bytes: {_different(self.expected, self.workspace)}")
            print(tally, flush=True)
            if file is not None:
                tally.write(file)

    def _round(self, tally: Tally, kills: int) -> None:
        for _ in range(10 * kills + 10):
            call(self.workspace, sys.executable, "-m", "mer.links")  # as `make repro` does
            before, run, struck = self.again(), self.start(), list[str]()
            try:
                while tally.killed.total() < kills and not _ended(run, self.random.uniform(0, self.seconds / 3)):
                    struck.append(self._strike(run))
                    tally.killed[struck[-1]] += 1
                if not _ended(run, LONGEST):
                    tally.faults.append(f"after kills of {struck} it did not end: {run.alive()}")
                if not wait_for(lambda run=run: not run.alive(), SECONDS_TO_END):  # type: ignore[misc]
                    tally.faults.append(f"after kills of {struck} there still were: {run.alive()}")
            finally:
                run.end()
            tally.repeat(self.again() - before, len(struck))
            print(f"{len(struck)} kills {struck}, exit {run.process.returncode}", flush=True)
            output = run.process.communicate()[0].decode()
            if run.process.returncode == 0:
                return
            if not struck:
                tally.faults.append(f"failed without a kill: {output[-2000:]}")
                print(tally.faults[-1], flush=True)
                return
        tally.faults.append("a round did not come to its end")

    def _strike(self, run: Marked) -> str:
        """Kill one process: first what kind of one is drawn, then which."""
        kinds: dict[str, list[int]] = {"dvc": [run.process.pid]}
        for pid, command in run.alive().items():
            if pid == run.process.pid or command.startswith(("/bin/sh", "sh ", "git ")):
                continue
            kinds.setdefault("stage" if "-m stages." in command else "worker", []).append(pid)
        kind = self.random.choice(sorted(kinds))
        try:
            os.kill(self.random.choice(kinds[kind]), signal.SIGKILL)
        except ProcessLookupError:
            return "nobody, who had just ended"
        return kind


def _ended(run: Marked, seconds: float) -> bool:
    return wait_for(lambda: run.process.poll() is not None, seconds)


def _different(expected: Mapping[str, str], workspace: Path) -> list[str]:
    found = results(workspace)
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tally", type=Path, help="a JSON file to keep the count in, and to go on from")
    arguments = parser.parse_args()
    tally = Tally.read(arguments.tally) if arguments.tally and arguments.tally.exists() else Tally()
    with tempfile.TemporaryDirectory() as folder:
        ordeal = Ordeal(Path(folder), arguments.seed + tally.rounds)
        print(f"undisturbed: {ordeal.seconds:.0f} s", flush=True)
        ordeal.kill_until(arguments.kills, tally, arguments.tally)
    print(*tally.faults, sep="\n")
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
