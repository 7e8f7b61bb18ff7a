"""What may be named for prediction, and one line for what may not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from mer.cli import app
from mer.errors import MerError
from mer.prediction.source import Source
from mer.prediction.sources import sources_of
from tests.bundles import TEXTS


def clip(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(1600, np.float32), 16000)
    return path


def names(*given: object, **more: object) -> list[str]:
    """Files that names stand for; in a folder, by their place in it."""
    with sources_of([str(one) for one in given], **more) as found:  # type: ignore[arg-type]
        files = [source.file for source in found]
    top = Path(str(given[0]))
    return [os.path.relpath(file, top) for file in files] if top.is_dir() else files


def test_a_folder_gives_its_media_at_any_depth_in_order(tmp_path: Path) -> None:
    for name in ("b.wav", "a/c.wav", "a/.hidden.wav"):
        clip(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no media")
    assert names(tmp_path) == ["a/c.wav", "b.wav"]


def test_a_pattern_that_the_shell_left_is_matched(tmp_path: Path) -> None:
    files = [clip(tmp_path / name) for name in ("a.wav", "x/b.wav")]
    odd = clip(tmp_path / "what[1].wav")
    assert names(f"{tmp_path}/**/[ab].wav") == [str(file) for file in files]
    assert names(odd) == [str(odd)]
    assert names(files[0], f"{tmp_path}/a*", files[0]) == [str(files[0])]


def test_a_list_names_files_beside_it_with_their_groups_and_transcripts(tmp_path: Path) -> None:
    file = clip(tmp_path / "far/a.wav")
    (tmp_path / "far/list.csv").write_text(f"file,group,transcript\na.wav,ann,hello\n{file},,\n", encoding="utf-8-sig")
    with sources_of([str(tmp_path / "far/list.csv")]) as found:
        assert found == [Source("a.wav", str(file), "ann", "hello"), Source(str(file), str(file), None, "")]
    with sources_of([str(tmp_path / "far/list.csv")], group="bob") as found:
        assert [source.group for source in found] == ["ann", "bob"]


def test_groups_are_matched_by_name_or_place_and_unused_rows_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "clips/a.wav")
    clip(tmp_path / "clips/b.wav")
    (tmp_path / "clips/groups.csv").write_text("path,group\na.wav,ann\nb.wav,bob\nz.wav,zoe\n")
    monkeypatch.chdir(tmp_path)
    with sources_of(["clips"], groups="clips/groups.csv") as found:
        assert [source.group for source in found] == ["ann", "bob"]
    assert "1 of 3 rows name no file that is predicted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("https://example.org/a.mp4", "a URL; download the file"),
        ("s3://bucket/a.mp4", "a URL; download the file"),
        ("{}/empty", "no media file in this folder"),
        ("{}/*.mp4", "no file matches"),
        ("{}/none.csv", "No such file"),
        ("{}/header.csv", "no column 'file'"),
        ("{}/bare.csv", "no file in this list"),
        ("{}/hole.csv", "line 2: empty 'file'"),
        ("{}/remote.csv", "line 2: http://x/y.mp4: a URL"),
        ("{}/latin.csv", "not UTF-8"),
        ("{}/two.csv", "named twice, with another group or transcript"),
    ],
)
def test_one_line_says_what_is_wrong(given: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "header.csv").write_text("clip,group\na.wav,b\n")
    (tmp_path / "bare.csv").write_text("file\n")
    (tmp_path / "hole.csv").write_text("file,group\n,b\n")
    (tmp_path / "remote.csv").write_text("file\nhttp://x/y.mp4\n")
    (tmp_path / "latin.csv").write_bytes("file\nä.wav\n".encode("latin-1"))
    (tmp_path / "two.csv").write_text("file,group\na.wav,ann\na.wav,bob\n")
    with pytest.raises(MerError) as raised, sources_of([given.format(tmp_path)]):
        pass
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_list_of_groups_that_names_none_of_the_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("file,group\nother.wav,ann\n")
    with (
        pytest.raises(MerError, match="names none of the files"),
        sources_of(["a.wav"], groups=tmp_path / "groups.csv"),
    ):
        pass


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "mer.cli", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, **options)  # type: ignore[call-overload, no-any-return]


def test_standard_input_is_a_file_as_others(bundle: Path, silence: Path) -> None:
    arguments = ("-", "--bundle", bundle, "--transcript", TEXTS["sad"])
    assert run(*arguments, input=silence.read_bytes()).stdout.decode().startswith("-: sad")
    nothing = run(*arguments, input=b"")
    assert nothing.returncode == 1
    assert b"-: the file has no bytes" in nothing.stdout


def test_who_reads_our_output_may_go(bundle: Path, tmp_path: Path) -> None:
    files = [clip(tmp_path / f"{i}.wav") for i in range(3)]
    command = [sys.executable, "-m", "mer.cli", "predict", *files, "--bundle", bundle, "--json"]
    piped = ["bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "-", *command]
    done = subprocess.run(piped, capture_output=True)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), "No such file"),
        (lambda folder: (folder / "members.safetensors").write_bytes(b"x" * 100), "not a model file"),
        (lambda folder: (folder / "bundle.json").write_text("{}"), "not of this version of mer"),
        (lambda folder: (folder / "text/tfidf.json").unlink(), "not a fitted TF-IDF encoder"),
    ],
)
def test_a_bundle_that_is_none_is_told_before_any_file_is_read(
    spoil: object, told: str, bundle: Path, silence: Path, tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(bundle, tmp_path / "bundle")
    spoil(folder)  # type: ignore[operator]
    done = CliRunner().invoke(app, ["predict", str(silence), "--bundle", str(folder)])
    assert isinstance(done.exception, MerError)
    assert told in str(done.exception)
    assert str(folder) in str(done.exception)
    assert done.stdout == ""
