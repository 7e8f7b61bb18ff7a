"""A workspace with the whole pipeline on a dozen clips: every stage, within a minute."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mer.running.needed import leave_out
from tests.media.making import write_clip
from tests.reliability.processes import REPOSITORY

CLIPS = 12
CODE = ["mer", "stages", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "pyproject.toml"]
DVC = (sys.executable, "-m", "dvc")
PARAMS: dict[str, dict[str, Any]] = {
    "corpus": {"layout": "folder", "folds": 3},
    "compute": {"workers": 2},
    "decode": {"frames": 2},
    "views": {"audio": {"model": "hubert", "layers": [-1]}, "text": {"dimensions": 4}},
    "model": {
        "modalities": ["audio", "text"],  # no picture shows a face
        "width": 8,
        "heads": 2,
        "normalise": ["corpus"],
        "components": 8,
        "threads": 1,
    },
    "pretrain": {"epochs": 1, "held_out": 0},
    "self_train": {"rounds": 1, "steps": 2, "families": ["linear"], "batch_size": 8},
    "evaluate": {"bootstrap": 100},
}


def make_corpus(folder: Path, clips: int = CLIPS, seconds: float = 0.6) -> Path:
    """Clips that differ in sound and length: of three, one is unlabeled."""
    folder.mkdir(parents=True)
    rows = ["clip_id,split,label,group,transcript"]
    for number in range(clips):
        level = 0.1 + 0.7 * number / clips
        length, path = seconds + 0.04 * number, folder / f"c{number:02d}.mp4"
        write_clip(path, seconds=length, levels=(level, level), rate=16_000)
        split = "unlabeled" if number % 3 == 2 else "labeled"
        label = "" if split == "unlabeled" else ["happy", "sad"][number % 2]
        rows.append(f"c{number:02d},{split},{label},g{number % 6},text {number} of {['joy', 'woe'][number % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def make_workspace(folder: Path, corpus: Path, **sections: dict[str, Any]) -> Path:
    """A git repository of its own with the code as it lies here, and params for `corpus`; `sections` change others."""
    import torch
    from transformers import HubertConfig, HubertModel

    from tests.encoders.speech_models import TINY, save

    folder.mkdir(parents=True)
    for name in CODE:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    for name in ("sample/hubert", "adapt/hubert"):  # what the other pipelines make where it is asked for
        leave_out(folder / name, name)
    torch.manual_seed(0)
    save(HubertModel(HubertConfig(**TINY)), folder / "hubert")
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for changes in (PARAMS, {"corpus": {"root": str(corpus)}}, sections):
        for section, values in changes.items():
            params[section] = merged(params[section], values)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    call(folder, "git", "init", "--quiet")
    commit(folder)
    call(folder, sys.executable, "-m", "mer.links")
    return folder


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A section with changes, those of a view beside what else it says."""
    inner = {name: merged(values[name], of) for name, of in changes.items() if isinstance(values.get(name), dict)}
    return values | changes | inner


def commit(workspace: Path) -> None:
    call(workspace, "git", "add", "--all")
    call(workspace, "git", "-c", "user.name=ci", "-c", "user.email=ci@localhost", "commit", "--quiet", "-m", "Tiny")


def environment(cache: Path) -> dict[str, str]:
    """In which stages find this Python, and keep their rows in `cache`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "MER_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}


def call(workspace: Path, *command: object, cache: Path | None = None) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=workspace,
        env=environment(cache or workspace / "unused"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def results(workspace: Path) -> dict[str, str]:
    """SHA-256 of all that the stages wrote, by path; the notes on the work done in the last run are left out."""
    return {
        str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in _written(workspace)
    }


def _written(workspace: Path) -> Iterator[Path]:
    for top in ("data", "metrics"):
        for path in sorted((workspace / top).rglob("*")):
            kept = path.is_file() and path.name != ".gitignore"
            if kept and path.relative_to(workspace).parts[:2] not in {("metrics", "work"), ("data", "links")}:
                yield path
