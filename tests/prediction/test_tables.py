"""`--out`: one table whatever ended the run before, in each of its forms."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from mer.cli import app
from mer.encoders.base import Features
from mer.errors import MerError
from mer.params import ComputeParams
from mer.prediction import pipeline
from mer.prediction.answer import Prediction
from mer.prediction.extractor import Extracted
from mer.prediction.finished import Finished
from mer.prediction.forms import csv_bytes, parquet_bytes
from mer.prediction.journal import Journal, key_of
from mer.prediction.many import identity, predict_to_table
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.tables import Columns, Table
from tests.bundles import TEXTS

FORMS = ("csv", "jsonl", "parquet")
Many = Callable[[int], Path]
COLUMNS = Columns(("a", "b"), ("text",), "0" * 12)


def row(path: str, **values: object) -> Prediction:
    return Prediction(
        path, "a", {"a": 0.25, "b": 0.75}, {"text": True}, transcript='said, "twice"\nand again', **values
    )  # type: ignore[arg-type]


def write(out: Path, *rows: Prediction, finish: bool = True) -> list[str]:
    """Add rows that the table lacks, and say which it had."""
    with Table(out, COLUMNS) as table:
        before = list(table.rows)
        for one in rows:
            if one.path not in table.rows:
                table.add(one)
        if finish:
            table.finish([one.path for one in rows])
    return before


def run(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mer.cli", "predict", *map(str, arguments)]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_was_ended_anywhere_is_gone_on_with(form: str, tmp_path: Path) -> None:
    """Cut at every byte, taken up, finished: the same bytes as of one run."""
    rows = [row("1.wav"), row("2.wav", group="x"), row("3, odd.wav", error="it broke")]
    whole = tmp_path / f"whole.{form}"
    write(whole, *rows)
    grown = tmp_path / f"grown.{form}"
    write(grown, *rows, finish=False)
    growing = grown if form != "parquet" else grown.with_name(grown.name + ".part")
    content = growing.read_bytes()
    for end in range(len(content)):
        growing.write_bytes(content[:end])
        write(grown, *rows)
        assert grown.read_bytes() == whole.read_bytes(), end
        if form == "parquet":
            grown.unlink()


@pytest.mark.parametrize("form", FORMS)
def test_a_finished_table_takes_more_rows_and_keeps_those_of_other_files(form: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    write(out, row("b.wav"))
    assert write(out, row("a.wav"), row("b.wav")) == ["b.wav"]
    once = tmp_path / f"once.{form}"
    write(once, row("a.wav"), row("b.wav"))
    assert out.read_bytes() == once.read_bytes()
    assert write(out, row("c.wav")) == ["a.wav", "b.wav"]


PARTING = ["\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
"""All that `str.splitlines` parts lines at."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mark", PARTING, ids=ascii)
def test_a_table_is_gone_on_with_whatever_is_said(form: str, mark: str, tmp_path: Path) -> None:
    said = replace(row(f"a{mark}.wav", group=f"x{mark}y"), transcript=f"one{mark}two")
    out, once = tmp_path / f"out.{form}", tmp_path / f"once.{form}"
    write(out, said, finish=False)
    assert write(out, said, row("b.wav")) == [said.path]
    write(once, said, row("b.wav"))
    assert out.read_bytes() == once.read_bytes()
    if form == "csv":
        with out.open(newline="", encoding="utf-8") as file:
            assert next(csv.DictReader(file))["transcript"] == said.transcript


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_gone_on_with_however_much_is_said(form: str, tmp_path: Path) -> None:
    """The reader of CSV takes cells of 131072 characters unless it is told otherwise, and is so afterwards."""
    out, usual = tmp_path / f"out.{form}", csv.field_size_limit()
    write(out, replace(row("a.wav"), transcript="so " * 50_000))
    assert write(out, row("b.wav")) == ["a.wav"]
    assert csv.field_size_limit() == usual


@pytest.mark.parametrize("mark", PARTING, ids=ascii)
def test_features_that_wait_for_a_group_are_read_whatever_is_said(mark: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    source, said = Source("a.wav", str(tmp_path / "a.wav"), None, f"one{mark}two"), f"one{mark}two"
    features = {"text": Features(np.ones(2, np.float32), 1, True)}
    with Journal(tmp_path / "features", "bundle") as journal:
        journal.add(source, key_of(source), Extracted(features, said, "given", (), 1.0))
    with Journal(tmp_path / "features", "bundle") as journal:
        assert journal.known[key_of(source)].transcript == said


@pytest.mark.parametrize("form", FORMS)
def test_what_the_machine_failed_at_is_done_again(form: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    write(out, row("a.wav", error="killed", transient=True), row("b.wav", error="no sound"))
    assert write(out, row("a.wav"), row("b.wav")) == ["b.wav"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b"path,label\na.wav,happy\n", b"{}\n", b"\xff\xfe\n", b"[]\n", b"PAR1 no\n"])
def test_a_file_that_is_no_such_table_is_left_as_it_is(form: str, content: bytes, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    out.write_bytes(content)
    with pytest.raises(MerError, match="not a table that `mer predict` wrote"):
        write(out, row("a.wav"))
    assert out.read_bytes() == content


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_another_bundle_are_not_mixed_in(form: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    write(out, row("a.wav"))
    with pytest.raises(MerError, match="with this bundle"), Table(out, Columns(("a", "b"), ("text",), "1" * 12)):
        pass


def test_two_runs_do_not_write_one_table(tmp_path: Path) -> None:
    with Table(tmp_path / "out.csv", COLUMNS), pytest.raises(MerError, match="another run writes it"):
        write(tmp_path / "out.csv", row("a.wav"))


def test_an_ending_that_names_no_table_and_a_folder_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(MerError, match="the ending is none of"):
        Table(tmp_path / "out.xlsx", COLUMNS)
    with pytest.raises(MerError, match=r"no/out\.csv"):
        write(tmp_path / "no/out.csv", row("a.wav"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_killed_halfway_and_run_again_gives_the_same_table(
    how: signal.Signals, bundle: Path, many: Many, tmp_path: Path
) -> None:
    files, out = many(240), tmp_path / "out.csv"
    process = subprocess.Popen(
        run(files, "--bundle", bundle, "--out", out, "--workers", 1),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not out.exists() or out.read_bytes().count(b"\n") < 10):
        time.sleep(0.02)
    os.kill(process.pid, how)
    _, told = process.communicate(timeout=60)
    halfway = out.read_bytes()
    assert 10 <= halfway.count(b"\n") < 241
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert b"run again to go on" in told
        assert b"Traceback" not in told
    again = CliRunner().invoke(app, ["predict", str(files), "--bundle", str(bundle), "--out", str(out)])
    assert again.exit_code == 0, again.output
    assert out.read_bytes().startswith(halfway[: halfway.rfind(b"\n") + 1])
    once = tmp_path / "once.csv"
    CliRunner().invoke(app, ["predict", str(files), "--bundle", str(bundle), "--out", str(once)])
    assert out.read_bytes() == once.read_bytes()
    table = pd.read_csv(out)
    assert list(table["label"]) == [list(TEXTS)[i % 3] for i in range(240)]


@pytest.mark.parametrize("which", ["bundle", "group_bundle"])
def test_what_a_slow_file_before_it_holds_back_is_kept(
    which: str, request: pytest.FixtureRequest, many: Many, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch of files is done last; Ctrl-C comes before that."""
    folder, files, out = request.getfixturevalue(which), many(40), tmp_path / "out.csv"
    arguments = ["predict", str(files), "--bundle", str(folder), "--workers", "1", "--out"]
    assert CliRunner().invoke(app, [*arguments, str(tmp_path / "once.csv")]).exit_code == 0
    ours, ends = pipeline.map_batches, [True]

    def last_first(worker, batches, *more, **named):
        found = list(ours(worker, batches, *more, **named))
        if isinstance(worker, pipeline.Loaded) and len(found) == 40:
            found = found[16:] + found[:16]
            for one in found:
                if one[0] == 8 and ends:
                    ends.clear()
                    raise KeyboardInterrupt
                yield one
            return
        yield from found

    monkeypatch.setattr(pipeline, "map_batches", last_first)
    assert CliRunner().invoke(app, [*arguments, str(out)]).exit_code == 130
    kept = out if which == "bundle" else out.with_name("out.csv.features")
    assert kept.read_bytes().count(b"\n") > 30
    assert CliRunner().invoke(app, [*arguments, str(out)]).exit_code == 0
    assert out.read_bytes() == (tmp_path / "once.csv").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_groups_wait_for_all_their_clips_and_a_run_that_was_ended_reads_none_twice(
    form: str, group_bundle: Path, many: Many, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mer.media.sandbox import Sandbox

    files, out, once = many(20), tmp_path / f"out.{form}", tmp_path / f"once.{form}"
    arguments = ["predict", str(files), "--bundle", str(group_bundle), "--workers", "1", "--out"]
    assert CliRunner().invoke(app, [*arguments, str(once)]).exit_code == 0
    read: list[str] = []
    decode = Sandbox.decode

    def counted(self: Sandbox, path: str) -> dict[str, object]:
        if len(read) == 17 and "ended" not in read:
            read.append("ended")
            raise KeyboardInterrupt
        read.append(path)
        return decode(self, path)

    monkeypatch.setattr(Sandbox, "decode", counted)
    ended = CliRunner().invoke(app, [*arguments, str(out)])
    assert ended.exit_code == 130
    assert out.with_name(out.name + ".features").exists()
    first = set(read)
    read.clear()
    read.append("ended")
    assert CliRunner().invoke(app, [*arguments, str(out)]).exit_code == 0
    assert len(read) - 1 < 20
    assert first | set(read) >= {str(files.parent / f"{i:04}.wav") for i in range(20)}
    assert out.read_bytes() == once.read_bytes()
    assert not out.with_name(out.name + ".features").exists()


def test_json_lines_hold_what_the_terminal_gets(bundle: Path, many: Many, tmp_path: Path) -> None:
    files, out = many(3), tmp_path / "out.jsonl"
    arguments = ["predict", str(files), "--bundle", str(bundle)]
    printed = CliRunner().invoke(app, [*arguments, "--json"]).stdout.splitlines()
    assert CliRunner().invoke(app, [*arguments, "--out", str(out)]).exit_code == 0
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{k: v for k, v in one.items() if k != "bundle"} for one in kept] == list(map(json.loads, printed))


def test_rows_with_more_columns_than_the_first_lose_none() -> None:
    """A face of which nothing could be predicted has no probabilities, and may come first."""
    rows = [{"path": "a\rb"}, {"path": "c", "p_a": 0.5}]
    assert csv_bytes(rows, ()) == b'path,p_a\n"a\rb",\nc,0.5\n'
    found = pd.read_parquet(io.BytesIO(parquet_bytes(rows)))
    assert found["p_a"].tolist()[1] == 0.5
    assert csv_bytes([], ("path", "face")) == b"path,face\n"


def predicted(bundle: Path, sources: list[Source], out: Path) -> list[str]:
    """The paths that a run predicts."""
    found = predict_to_table(Predictor(bundle), sources, out, ComputeParams(workers=1))
    return sorted(one.path for one in found)


def three(folder: Path) -> list[Source]:
    for number, name in enumerate("abc"):
        soundfile.write(folder / f"{name}.wav", np.zeros(8000 + number, np.float32), 16000)
    return [
        Source(f"{name}.wav", str(folder / f"{name}.wav"), "x", text)
        for name, text in zip("abc", TEXTS.values(), strict=True)
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ["bundle", "group_bundle"])
@pytest.mark.parametrize("what", ["file", "older file", "transcript", "group", "place"])
def test_the_row_of_a_file_that_changed_is_written_anew(
    form: str, which: str, what: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of that file alone; where clips are standardised within groups, of all."""
    folder, sources, out = request.getfixturevalue(which), three(tmp_path), tmp_path / f"out.{form}"
    assert predicted(folder, sources, out) == ["a.wav", "b.wav", "c.wav"]
    assert predicted(folder, sources, out) == []
    assert capsys.readouterr().err == ""
    if what.endswith("file"):
        soundfile.write(sources[1].file, np.zeros(9000, np.float32), 16000)
        os.utime(sources[1].file, (1, 1) if what == "older file" else None)
    elif what == "place":
        (tmp_path / "sub").mkdir()
        sources[1] = replace(sources[1], file=shutil.copy2(sources[1].file, tmp_path / "sub"))
    else:
        sources[1] = replace(sources[1], **{what: TEXTS["happy"]})
    assert predicted(folder, sources, out) == (["b.wav"] if which == "bundle" else ["a.wav", "b.wav", "c.wav"])
    assert "1 files, or what is given of them, changed since, and are predicted anew: b.wav" in capsys.readouterr().err
    once = tmp_path / f"once.{form}"
    predicted(folder, sources, once)
    assert out.read_bytes() == once.read_bytes()
    assert predicted(folder, sources, out) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ["bundle", "group_bundle"])
def test_a_table_of_an_earlier_version_is_taken_as_it_is_and_watched_from_then_on(
    form: str, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder, sources, out = request.getfixturevalue(which), three(tmp_path), tmp_path / f"out.{form}"
    predicted(folder, sources, out)
    out.with_name(out.name + ".files").unlink()
    assert predicted(folder, sources, out) == []
    sources[1] = replace(sources[1], transcript=TEXTS["happy"])
    assert "b.wav" in predicted(folder, sources, out)


def test_the_row_of_a_file_that_is_gone_stays(bundle: Path, tmp_path: Path) -> None:
    sources, out = three(tmp_path), tmp_path / "out.csv"
    predicted(bundle, sources, out)
    os.unlink(sources[0].file)
    assert predicted(bundle, sources, out) == []
    assert pd.read_csv(out)["error"].isna().all()


def test_a_file_that_was_missing_is_predicted_when_it_is_there(bundle: Path, tmp_path: Path) -> None:
    """And one that comes back as it was keeps its row."""
    sources, out, away = three(tmp_path), tmp_path / "out.csv", tmp_path / "away"
    os.rename(sources[0].file, away)
    assert len(predicted(bundle, sources, out)) == 3
    assert predicted(bundle, sources, out) == []
    os.rename(away, sources[0].file)
    assert predicted(bundle, sources, out) == ["a.wav"]
    assert pd.read_csv(out)["error"].isna().all()
    os.rename(sources[0].file, away)
    assert predicted(bundle, sources, out) == []
    os.rename(away, sources[0].file)
    assert predicted(bundle, sources, out) == []


def test_features_of_a_file_that_changed_wait_for_no_group(
    group_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ended run read all three; then one file, and what is said in another, changed."""
    sources, out, read = three(tmp_path), tmp_path / "out.csv", list[str]()
    predictor, extracted = Predictor(group_bundle), Predictor.extracted
    with Journal(tmp_path / "out.csv.features", identity(group_bundle)) as journal:
        for number, one in predictor.extracted(sources, ComputeParams(workers=1)):
            assert isinstance(one, Extracted)
            journal.add(sources[number], key_of(sources[number]), one)

    def noted(self: Predictor, wanting: list[Source], *more: object, **named: object) -> object:
        read.extend(source.path for source in wanting)
        return extracted(self, wanting, *more, **named)

    monkeypatch.setattr(Predictor, "extracted", noted)
    os.utime(sources[0].file, (1, 1))
    sources = [sources[0], replace(sources[1], transcript=TEXTS["angry"]), replace(sources[2], group="another")]
    predicted(group_bundle, sources, out)
    assert read == ["a.wav", "b.wav"]


def test_a_file_that_changes_while_it_is_predicted_is_noted_as_it_was(tmp_path: Path) -> None:
    [source, *_] = three(tmp_path)
    with Finished(tmp_path / "notes") as finished:
        assert finished.what(source) is None
        os.utime(source.file, (1, 1))
        finished.add(source, True)
        assert finished.what(source) is None
        assert finished.changed(source)
