"""The wheel holds the library, all of it, and nothing of the repository around it; and it works from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.bundles import TEXTS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as `pip` builds it, with the build tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("mer", "sample", "stages", "tests", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__", *(("corpus", "hubert") if name == "sample" else ()))
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(folder / "source")], check=True)
    [found] = folder.glob("*.whl")
    return found


def test_all_of_the_library_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mer").rglob("*") if path.is_file()}
    assert held == {name for name in own if "__pycache__" not in name}


def test_an_installed_wheel_predicts_with_an_unpacked_bundle(wheel: Path, tmp_path: Path) -> None:
    """In a folder of its own before all others on the path, with the repository nowhere near."""
    import numpy as np
    import soundfile

    from mer.prediction.packing import pack
    from tests.bundles import text_bundle

    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, str(wheel)], check=True)
    pack(text_bundle(tmp_path / "made"), here / "b.mer", with_encoders=True, weights={})
    soundfile.write(here / "a.wav", np.zeros(1600, np.float32), 16000)

    def run(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import mer; print(mer.__file__)"
    assert run(sys.executable, "-c", code).startswith(str(site))
    command_ = str(site / "bin/mer")
    run(sys.executable, command_, "bundle", "unpack", "b.mer", "bundle")
    said = run(sys.executable, command_, "predict", "--bundle", "bundle", "--transcript", TEXTS["angry"], "a.wav")
    assert said.startswith("a.wav: angry")
