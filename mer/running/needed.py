"""Stages that may have nothing to do look in `data/needed` whether the params ask for what they make.

DVC knows what a stage depends on, not whether it is wanted: the embedded corpus, its tiny HuBERT, an adapted HuBERT,
face crops and decoded media are upstream of every view. Where no view asks for them, their stages end at once. Each
looks at a file of its own, so that it runs again only when its own answer changes. `mer.params.needs` writes them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("data/needed")
NOTHING = "not_needed.txt"
"""What a folder holds that was not asked for: DVC wants some file in it."""


def is_needed(name: str, folder: Path = FOLDER) -> bool:
    """Whether the params ask for it; so does who runs a stage by hand, before anyone has looked at the params."""
    path = folder / name
    return not path.is_file() or path.read_text(encoding="utf-8") != "no\n"


def leave_out(folder: Path, stage: str) -> None:
    """The folder of what is not needed, with a line that says so."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTHING).write_text("No view asks for this.\n", encoding="utf-8")
    print(f"{stage}: no view asks for it", flush=True)
