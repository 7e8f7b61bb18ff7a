"""Many films: names for their timelines, and a run that was ended does no finished film again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from mer.cli import app
from mer.errors import MerError
from mer.prediction import films
from mer.prediction.finished import Finished
from mer.prediction.naming import NOTES, names_of
from mer.prediction.source import Source
from mer.prediction.timeline import timeline

RATE = 16000


def film(path: Path, pitch: float = 200.0) -> Path:
    """A tone with pauses around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 1e-4 * np.random.default_rng(0).normal(size=4 * RATE)
    wave[RATE : 3 * RATE] += 0.3 * np.sin(2 * np.pi * pitch * np.arange(2 * RATE) / RATE)
    soundfile.write(path, wave.astype(np.float32), RATE)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the films that are read, as they are read; one named `stop` is as if Ctrl-C was pressed there."""
    names: list[str] = []

    def noted(predictor, source, *more):
        names.append(Path(source.file).name)
        if names[-1].startswith("stop"):
            raise KeyboardInterrupt
        return timeline(predictor, source, *more)

    monkeypatch.setattr(films, "timeline", noted)
    return names


def run(*arguments: object):
    return CliRunner().invoke(app, ["predict", "--timeline", *map(str, arguments)])


def test_a_run_that_was_ended_goes_on_with_the_film_where_it_was(bundle: Path, tmp_path: Path, read: list[str]) -> None:
    for name in ("a.wav", "sub/b.wav", "stop.wav", "z.wav"):
        film(tmp_path / "films" / name)
    (tmp_path / "out").mkdir()
    outs = [part for ending in ("srt", "csv") for part in ("--out", tmp_path / "out" / f"{{name}}.{ending}")]
    arguments = [tmp_path / "films", "--bundle", bundle, *outs]
    ended = run(*arguments)
    assert ended.exit_code == 130
    assert "run again to go on" in ended.stderr
    assert read == ["a.wav", "stop.wav"]
    os.rename(tmp_path / "films/stop.wav", tmp_path / "films/go.wav")
    read.clear()
    again = run(*arguments)
    assert again.exit_code == 0, again.output
    assert read == ["go.wav", "b.wav", "z.wav"]
    assert "1 of 4 films were finished by an earlier run" in again.stderr
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {NOTES, *(f"{name}.{ending}" for name in ("a", "b", "go", "z") for ending in ("srt", "csv"))}
    read.clear()
    assert run(*arguments).exit_code == 0
    assert read == []


def test_a_film_is_done_again_for_what_changed_alone(bundle: Path, tmp_path: Path, read: list[str]) -> None:
    """The film, an option, the names; or what was written is gone."""
    for name in ("a.wav", "b.wav"):
        film(tmp_path / name)
    arguments = [tmp_path / "*.wav", "--bundle", bundle, "--out", tmp_path / "{name}.csv"]
    run(*arguments)
    read.clear()
    (tmp_path / "b.csv").unlink()
    run(*arguments)
    assert read == ["b.wav"]
    film(tmp_path / "a.wav", 300.0)
    os.utime(tmp_path / "a.wav", (1, 1))
    run(*arguments)
    assert read == ["b.wav", "a.wav"]
    run(*arguments, "--window", 2)
    run(*arguments, "--smooth", 1)
    run(*arguments, "--out", tmp_path / "{name}.vtt")
    run(*arguments, "--group", "ann")
    assert read[2:] == ["a.wav", "b.wav"] * 4


def test_a_film_that_cannot_be_read_is_told_and_tried_again(bundle: Path, tmp_path: Path, read: list[str]) -> None:
    film(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"no sound")
    arguments = [tmp_path / "a.wav", tmp_path / "b.wav", "--bundle", bundle, "--out", tmp_path / "{name}.csv"]
    assert run(*arguments).exit_code == 1
    failed = run(*arguments)
    assert failed.exit_code == 1
    assert str(tmp_path / "b.wav") in failed.stderr
    assert read == ["a.wav", "b.wav", "b.wav"]


def test_a_transcript_of_a_whole_film_is_refused_and_in_a_list_told(
    bundle: Path, tmp_path: Path, read: list[str]
) -> None:
    """Lists are shared with runs that use it."""
    film(tmp_path / "a.wav")
    film(tmp_path / "b.wav")
    refused = run(tmp_path / "a.wav", "--bundle", bundle, "--transcript", "so")
    assert str(refused.exception).startswith("--transcript: ")
    assert read == []
    (tmp_path / "list.csv").write_text("file,transcript\na.wav,so\nb.wav,\n")
    told = "the transcripts of 1 of 2 films are not used"
    for arguments in ([tmp_path / "list.csv"], [tmp_path / "*.wav", "--groups", tmp_path / "list.csv"]):
        assert told in run(*arguments, "--bundle", bundle).stderr
    assert "not used" not in run(tmp_path / "a.wav", "--bundle", bundle).stderr


def sources(*names: str) -> list[Source]:
    return [Source(name, name) for name in names]


def test_names_are_filled_in_with_what_a_film_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    odd = "x/{name} {file}.v1.mp4"
    found = names_of([Path("{folder}/{name}.srt"), Path("{file}.csv")], sources("a.mp4", odd))
    assert found[0] == [Path("a.srt"), Path("a.mp4.csv")]
    assert found[1] == [Path("x/{name} {file}.v1.srt"), Path("{name} {file}.v1.mp4.csv")]
    assert names_of([Path("one.srt")], sources("a.mp4")) == [[Path("one.srt")]]
    assert names_of([], sources("a.mp4", "b.mp4")) == [[], []]
    assert not [path for path in tmp_path.iterdir() if path.name != "x"]


@pytest.mark.parametrize(
    ("outs", "films_", "told"),
    [
        (["all.srt"], ["a.mp4", "b.mp4"], "need a name each"),
        (["{name}.srt"], ["x/a.mp4", "y/a.mp4"], "x/a.mp4 and y/a.mp4 would write a.srt"),
        (["{name}.srt"], ["a.mp4", "a.wav"], "a.mp4 and a.wav would write a.srt"),
        (["{name}.srt", "a.srt"], ["a.mp4"], "a.mp4, twice, would write a.srt"),
        (["no/such/{name}.srt"], ["a.mp4"], "no file can be written in no/such"),
        (["{name}.csv"], ["a.csv"], "this is a film that is predicted"),
        (["{name}.csv"], ["folder.mp4"], "--out folder.csv: this is a folder"),
    ],
)
def test_names_that_are_no_good_are_told_before_any_work(
    outs: list[str], films_: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MerError) as raised:
        names_of([Path(out) for out in outs], sources(*films_))
    assert told in str(raised.value)


def test_notes_that_were_cut_off_anywhere_are_gone_on_with(tmp_path: Path) -> None:
    one, two = (Source(name, str(film(tmp_path / name))) for name in ("ä.wav", "b.wav"))
    with Finished(tmp_path / "notes", "made") as finished:
        finished.add(one, ["rows"])
    whole = (tmp_path / "notes").read_bytes()
    for end in range(len(whole) + 1):
        (tmp_path / "notes").write_bytes(whole[:end])
        with Finished(tmp_path / "notes", "made") as finished:
            assert finished.what(one) == (["rows"] if end == len(whole) else None)
            finished.add(two, 0)
        with Finished(tmp_path / "notes", "made") as finished:
            assert finished.what(two) == 0
    with Finished(tmp_path / "notes", "otherwise made") as finished:
        assert finished.what(one) is None
        with pytest.raises(MerError, match="another run writes it"), Finished(tmp_path / "notes"):
            pass


@pytest.mark.parametrize("mark", ["\r", "\x1c", "\x85", "\u2028"], ids=ascii)
def test_notes_are_read_whatever_is_said(mark: str, tmp_path: Path) -> None:
    source = Source(f"a{mark}.wav", str(film(tmp_path / "a.wav")))
    with Finished(tmp_path / "notes") as finished:
        finished.add(source, [f"one{mark}two"])
    with Finished(tmp_path / "notes") as finished:
        assert finished.what(source) == [f"one{mark}two"]


@pytest.mark.parametrize("content", [b"{}\n", b"\n", b"\xff\n", b"[1]\n", b"start,end\n"])
def test_notes_that_are_something_else_are_left_as_they_are(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(content)
    with pytest.raises(MerError, match="delete it, or name another --out"), Finished(tmp_path / "notes"):
        pass
    assert (tmp_path / "notes").read_bytes() == content


def test_notes_say_in_plain_words_which_film_is_finished(bundle: Path, tmp_path: Path) -> None:
    film(tmp_path / "a.wav")
    run(tmp_path / "a.wav", "--bundle", bundle, "--out", tmp_path / "{name}.csv")
    [line] = [json.loads(line) for line in (tmp_path / NOTES).read_text().splitlines()]
    assert line["path"] == str(tmp_path / "a.wav")
