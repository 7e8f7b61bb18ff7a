"""A terminal that knows ASCII only gets escapes, never a traceback: every command, and a stage's line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer import cli
from mer.errors import MerError
from mer.running import console

ROOT = Path(__file__).parents[2]
PLAIN = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
FORCED = {**PLAIN, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Names of files are ASCII as well; without these two, Python takes UTF-8 for them in this locale."""


@pytest.mark.parametrize(("settings", "said"), [(PLAIN, b"\\u8bed\\u6599"), (FORCED, b"set PYTHONUTF8=1")])
def test_a_stage_tells_a_chinese_file_in_ascii(tmp_path: Path, settings: dict[str, str], said: bytes) -> None:
    (tmp_path / "params.yaml").write_text("corpus: {root: 语料, layout: folder}", encoding="utf-8")
    (tmp_path / "语料").mkdir()
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.ingest"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=180, check=False)
    assert done.returncode == 1
    assert done.stderr.isascii()
    assert done.stderr.startswith(b"error: ")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1


COMMANDS = [
    *(["--help"], ["show"], ["show", "语.json"], ["show", "--bundle", "语"], ["predict", "笑.mp4", "--bundle", "语"]),
    *(["preset"], ["preset", "语"], ["convert", "语.pt", "出"], ["cache"], ["cache", "list", "--root", "语"]),
    *(["encoders", "list"], ["encoders", "add", "语"], ["encoders", "verify", "--root", "语"], ["compare", "语"]),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_can_be_read_in_ascii(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """In this process, on streams that take ASCII only."""
    monkeypatch.chdir(tmp_path)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict") for _ in range(2))
    monkeypatch.setattr(sys, "argv", ["mer", *arguments])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    if isinstance(ended.value.code, str):
        print(ended.value.code, file=err)  # as the interpreter does
    for stream in (out, err):
        stream.flush()
    assert b"Traceback" not in err.buffer.getvalue()


def test_letters_that_a_terminal_lacks_are_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert not console.speaks_unicode()
    console.take_any_letter()
    print("微笑 😀 \udcff")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u5fae\\u7b11 \\U0001f600 \\udcff\n"


def test_json_stays_json_where_letters_are_escapes() -> None:
    assert json.loads(json.dumps({"path": "😀.mp4"}, ensure_ascii=True)) == {"path": "😀.mp4"}


@pytest.mark.parametrize("letters", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x00b", "a\u2028b", "a\x85b"])
def test_a_mistake_is_one_line_whatever_it_quotes(letters: str) -> None:
    line = console.told(MerError(letters))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert len(console.told(MerError("x" * 10**6))) < 2100
