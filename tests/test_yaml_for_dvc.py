"""DVC reads its YAML by a parser in C where that is installed: it must be there, and understand every file of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
LISTED = subprocess.run(["git", "ls-files", "*.yaml", "*.lock"], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_parser_in_c_is_installed() -> None:
    import _ruamel_yaml

    assert issubclass(YAML(typ="safe").Parser, _ruamel_yaml.CParser)


@pytest.mark.parametrize("name", LISTED.stdout.split() or ["dvc.yaml", "adapt/dvc.yaml", "params.yaml"])
def test_both_parsers_read_the_same(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert repr(YAML(typ="safe").load(text)) == repr(YAML(typ="safe", pure=True).load(text))
