"""The wheel in an environment of its own, with its default dependencies alone: a packed bundle predicts there as here.

    python -m tests.reliability.clean_install [--bundle data/models/bundle] CLIP ...

Builds the wheel from the files that git knows, installs it into a new environment with the versions of constraints.txt,
unpacks a bundle that was packed with its encoders, and predicts the clips from another folder. Takes minutes and the
network; ends with status 1 where a table differs from the one that this environment writes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("data/models/bundle"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = installed(folder)
        here = folder / "elsewhere"
        (here / "my clips").mkdir(parents=True)
        for clip in given.clips:
            shutil.copy(clip, here / "my clips")
        mer = [sys.executable, "-m", "mer.cli"]
        run([*mer, "bundle", "pack", "--bundle", str(given.bundle), "--with-encoders", str(here / "b.mer")], ROOT)
        theirs = [str(python.parent / "mer")]
        run([*theirs, "bundle", "unpack", "b.mer", "bundle"], here, bare=True)
        run([*theirs, "bundle", "show", "bundle"], here, bare=True)
        run([*theirs, "predict", "--bundle", "bundle", "my clips", "--out", "theirs.csv"], here, bare=True)
        run([*mer, "predict", "--bundle", "bundle", "my clips", "--out", "ours.csv"], here)
        run([str(python), "-m", "pip", "check"], here, bare=True)
        equal = (here / "theirs.csv").read_bytes() == (here / "ours.csv").read_bytes()
        print((here / "theirs.csv").read_text(encoding="utf-8"))
    print(f"the same table from the wheel and from here: {equal}")
    sys.exit(0 if equal else 1)


def installed(folder: Path) -> Path:
    """The Python of a new environment that holds the wheel and what it asks for."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for file in filter(None, listed.split("\0")):
        (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / "source" / file)
    run([sys.executable, "-m", "venv", "venv"], folder)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "--quiet", "--no-deps", "-w", "wheel", "./source"], folder)
    [wheel] = (folder / "wheel").glob("*.whl")
    run([*pip, "install", "--quiet", "-c", "source/constraints.txt", str(wheel)], folder)
    return folder / "venv/bin/python"


def run(command: Sequence[str], folder: Path, *, bare: bool = False) -> None:
    """Run it there; `bare`, with an environment that knows nothing of this one."""
    known = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    print("$", *command, flush=True)
    subprocess.run(command, cwd=folder, env=known if bare else dict(os.environ), check=True)


if __name__ == "__main__":
    main()
