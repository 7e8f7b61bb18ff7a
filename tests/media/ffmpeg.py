"""ffmpeg's command line for tests: it writes what PyAV cannot, and decodes apart from our code."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest


@functools.cache
def executable() -> str | None:
    """ffmpeg of the `imageio-ffmpeg` package (a development dependency), else the one on the PATH."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg")


needed = pytest.mark.skipif(executable() is None, reason="no ffmpeg: pip install imageio-ffmpeg")


def run(*arguments: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg quietly, on one thread, without ever asking."""
    command = [str(executable()), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done


def picture(seconds: float = 1.0, size: str = "64x48", rate: int = 25) -> list[str]:
    """Input arguments of a moving test picture."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def tone(seconds: float = 1.0, hertz: int = 300, rate: int = 44_100) -> list[str]:
    """Input arguments of a sine tone of amplitude 1/8."""
    return ["-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate={rate}:duration={seconds}"]


def make(path: Path, *arguments: object) -> Path:
    """Write `path` with ffmpeg."""
    run(*arguments, path)
    return path
