"""Corpora as strangers pack them: read, or refused in one line that names the file; nothing hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mer.errors import MerError
from mer.layouts import read_corpus
from mer.odd_files import check_tree
from mer.params import CorpusParams
from mer.running.console import told

ROOT = Path(__file__).parents[2]
FILES = ("a.wav", "b.wav", "c.mp4", "deep/er/d.flac")
GOOD = "clip_id,label\na,joy\nb,anger\nc,joy\nd,anger\n"


def table(text: str | bytes) -> Callable[[Path], object]:
    return lambda root: (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


def row(line: str, header: str = "clip_id,label") -> Callable[[Path], object]:
    return table(f"{header}\n{line}\nb,anger\n")


def segments(lines: str) -> Callable[[Path], object]:
    return table(f"path,label,start,end\n{lines}\nb.wav,anger,0,1\n")


def named(name: str | bytes) -> Callable[[Path], object]:
    return lambda root: Path(os.fsdecode(os.path.join(os.fsencode(root), os.fsencode(name)))).touch()


REFUSED: dict[str, Callable[[Path], object]] = {
    "no table": lambda root: (root / "labels.csv").unlink(),
    "table is a folder": lambda root: ((root / "labels.csv").unlink(), (root / "labels.csv").mkdir()),
    "table is a pipe": lambda root: ((root / "labels.csv").unlink(), os.mkfifo(root / "labels.csv")),
    "table is a dangling link": lambda root: ((root / "labels.csv").unlink(), (root / "labels.csv").symlink_to("no")),
    "table in itself": lambda root: ((root / "labels.csv").unlink(), (root / "labels.csv").symlink_to("labels.csv")),
    "empty": table(""),
    "only a mark": table(b"\xef\xbb\xbf"),
    "blank lines": table("\n\n\n"),
    "header only": table("clip_id,label\n"),
    "UTF-16 without a mark": table(GOOD.encode("utf-16-le")),
    "UTF-32": table(GOOD.encode("utf-32")),
    "Latin-1": table("clip_id,label\na,müde\n".encode("latin-1")),
    "GB18030": table("clip_id,label\na,中性\n".encode("gb18030")),
    "zeros": table(bytes(4096)),
    "an archive": table(b"PK\x03\x04" + bytes(range(256))),
    "no label column": row("a,joy", "clip_id,emotion"),
    "no id column": row("a,joy", "name,label"),
    "label twice in the header": row("a,joy,joy", "clip_id,label,label"),
    "too many cells": row("a,joy,more"),
    "too few cells": row("a"),
    "duplicate rows": row("a,joy\na,joy"),
    "duplicates that differ": row("a,joy\na,anger"),
    "empty id": row(",joy"),
    "blank id": row("  ,joy"),
    "unknown clip": row("z,joy"),
    "NUL in an id": row("a\0,joy"),
    "NUL in a label": row("a,jo\0y"),
    "a cell that goes on": row('a,"joy'),
    "a cell after its quote": row('a,"joy"x'),
    "a label of two lines": row('a,"jo\ny"'),
    "a label of a megabyte": row("a," + "j" * 2**20),
    "a label of 300 letters": row("a," + "j" * 300),
    "a label that rings": row("a,jo\ay"),
    "a label that erases the screen": row("a,\x1b[2Jjoy"),
    "a label written backwards": row("a,\u202eyoj"),
    "an id of a megabyte": row("a" * 2**20 + ",joy"),
    "an id of two lines": row('"a\nb",joy'),
    "path out of the folder": row("../a.wav,joy", "path,label"),
    "path from the top": row("/etc/passwd,joy", "path,label"),
    "path with a scheme": row("file:///a.wav,joy", "path,label"),
    "path of a drive": row("C:\\a.wav,joy", "path,label"),
    "path up and down": row("deep/../a.wav,joy", "path,label"),
    "path with NUL": row("a.wav\0,joy", "path,label"),
    "path of 5,000": row("a/" * 2500 + "a.wav,joy", "path,label"),
    "path as an id": row("a.wav,joy"),
    "two paths of one file": row("a.wav,joy\n./a.wav,joy", "path,label"),
    "votes of nothing": table("clip_id,soft_joy,soft_anger\na,0,0\nb,1,2\n"),
    "votes below nothing": table("clip_id,soft_joy,soft_anger\na,-1,2\nb,1,2\n"),
    "votes that are words": table("clip_id,soft_joy,soft_anger\na,many,2\nb,1,2\n"),
    "a segment that ends before it starts": segments("a.wav,joy,2,1"),
    "a segment of no length": segments("a.wav,joy,2,2"),
    "a segment before the beginning": segments("a.wav,joy,-1,1"),
    "a segment of words": segments("a.wav,joy,one,2"),
    "a segment that ends never": segments("a.wav,joy,0,inf"),
    "segments that overlap": segments("a.wav,joy,0,2\na.wav,anger,1,3"),
    "a segment within another": segments("a.wav,joy,0,9\na.wav,anger,1,3\na.wav,joy,4,5"),
    "a segment twice": segments("a.wav,joy,0,2\na.wav,joy,0,2"),
    "a segment and its file": segments("a.wav,joy,,\na.wav,joy,1,2"),
    "an unknown split": row("a,joy,training", "clip_id,label,split"),
    "labeled without a label": row("a,,labeled", "clip_id,label,split"),
    "no label at all": table("clip_id,label\na,\nb,\n"),
    "only test": table("clip_id,label,split\na,joy,test\nb,joy,test\n"),
    "no media": lambda root: [path.unlink() for path in root.rglob("*") if path.suffix in (".wav", ".mp4", ".flac")],
    "two files of one path": lambda root: ((root / "a.mp4").touch(), (root / "a.flac").touch()),
    "a pipe": lambda root: os.mkfifo(root / "e.wav"),
    "a pipe deep inside": lambda root: os.mkfifo(root / "deep/er/e.wav"),
    "a dangling link": lambda root: (root / "e.wav").symlink_to("nowhere"),
    "a link to itself": lambda root: (root / "e.wav").symlink_to("e.wav"),
    "a link to a device": lambda root: (root / "e.wav").symlink_to("/dev/zero"),
    "a name that is not UTF-8": named(b"e\xff.wav"),
    "a name that is half of a pair": named(b"e\xed\xa0\x80.wav"),
}
READ: dict[str, Callable[[Path], object]] = {
    "as it should be": table(GOOD),
    "with a mark": table(b"\xef\xbb\xbf" + GOOD.encode()),
    "UTF-16": table(GOOD.encode("utf-16")),
    "a spreadsheet's semicolons": table(GOOD.replace(",", ";")),
    "a spreadsheet's first line": table("sep=;\n" + GOOD.replace(",", ";")),
    "tabs": table(GOOD.replace(",", "\t")),
    "capitals in the header": table(GOOD.replace("clip_id,label", "Clip_ID,LABEL")),
    "capitals in labels": table(GOOD.replace("c,joy", "c,Joy")),
    "empty cells behind": table(GOOD.replace("\n", ",,\n")),
    "Windows' line ends": table(GOOD.replace("\n", "\r\n")),
    "old line ends": table(GOOD.replace("\n", "\r")),
    "all quoted": table('"clip_id","label"\n"a","joy"\n"b","anger"\n'),
    "blanks around": table(" clip_id , label \n a , joy \n b , anger \n"),
    "blank lines between": table("clip_id,label\n\na,joy\n\n\nb,anger\n"),
    "numbers": table("clip_id,label\na,0\nb,1\n"),
    "names of nothing": table("clip_id,label\na,NA\nb,None\n"),
    "formulas": table("clip_id,label\na,=1+1\nb,@SUM(A1)\n"),
    "markup": table("clip_id,label\na,<script>alert(1)</script>\nb,joy\n"),
    "one class": table("clip_id,label\na,joy\n"),
    "a hundred columns": table(
        "clip_id,label," + ",".join(f"x{i}" for i in range(100)) + "\na,joy," + "," * 99 + "\nb,anger," + "," * 99
    ),
    "a long transcript": table("clip_id,label,transcript\na,joy," + "x" * 100_000 + "\nb,anger,\n"),
    "a transcript of lines": table('clip_id,label,transcript\na,joy,"one\ntwo"\nb,anger,\n'),
    "Windows' slashes": table("path,label\ndeep\\er\\d.flac,joy\na.wav,anger\n"),
    "a link in a circle": lambda root: (root / "deep/round").symlink_to("..", target_is_directory=True),
    "a link to a file outside": lambda root: (root / "e.wav").symlink_to(__file__),
    "hidden files": named(".e.wav"),
    "a folder that is called like a file": lambda root: (root / "e.wav").mkdir(),
    "a name of two lines": named("e\nf.wav"),
    "a name that rings": named("e\a.wav"),
    "a name of blanks": named("  .wav"),
    "a name of 250 letters": named("e" * 250 + ".wav"),
    "a name with a quote": named("e'\".wav"),
    "a name in Chinese": named("微笑.wav"),
    "a name like an option": named("--help.wav"),
    "a name like a formula": named("=1+1.wav"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "labels.csv").write_text(GOOD)
    return root


def read(root: Path) -> int:
    return len(read_corpus(CorpusParams(root=str(root), layout="folder")).table.rows)


@pytest.mark.parametrize("name", REFUSED)
def test_a_corpus_is_refused_in_one_line(root: Path, name: str) -> None:
    REFUSED[name](root)
    with pytest.raises(MerError) as caught:
        read(root)
    line = told(caught.value)
    assert "\n" not in line
    assert "\x1b" not in line
    assert any(word in line for word in (str(root), "corpus", "a.mp4"))
    assert len(line) < 2100


@pytest.mark.parametrize("name", READ)
def test_a_corpus_is_read_whole(root: Path, name: str) -> None:
    READ[name](root)
    media = [path for path in root.rglob("*.*") if path.suffix in (".wav", ".mp4", ".flac") and path.is_file()]
    assert read(root) == sum(not path.name.startswith(".") for path in media)
    check_tree(root)


def a_socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(root)  # the path of a socket is short
        one.bind("s")


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (lambda root: os.mkfifo(root / "deep/notes"), "deep/notes': a pipe"),
    "hidden pipe": (lambda root: os.mkfifo(root / ".notes"), ".notes': a pipe"),
    "socket": (a_socket, "s': a socket"),
    "dangling": (lambda root: (root / "notes.txt").symlink_to("nowhere"), "notes.txt': a link that leads nowhere"),
    "circle": (lambda root: (root / "notes.txt").symlink_to("notes.txt"), "notes.txt': a link that leads nowhere"),
    "device": (lambda root: (root / "notes.txt").symlink_to("/dev/zero"), "notes.txt': a device"),
    "name": (named(b"deep/\xff.txt"), "\\udcff.txt': the name is not valid UTF-8"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_would_stop_dvc_is_named_before_dvc_is_called(
    root: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make repro` calls `python -m mer.links` first."""
    recipe = (ROOT / "Makefile").read_text()
    assert recipe.index("-m mer.links") < recipe.index("dvc repro")
    monkeypatch.chdir(tmp_path)
    check_tree(root)
    spoil, said = ODD[name]
    spoil(root)
    with pytest.raises(MerError) as caught:
        check_tree(root)
    assert said in str(caught.value)
    assert str(caught.value).isascii()


def test_the_command_before_dvc_ends_in_one_line(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "e.txt")
    (tmp_path / "params.yaml").write_text("corpus: {root: corpus, layout: folder}")
    command = [sys.executable, "-m", "mer.links"]
    path = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: corpus.root: 'corpus/e.txt': a pipe, no file; remove it")
    assert done.stderr.count("\n") == 1
