"""`mer submit` writes what the list of candidates asks for, and refuses everything else, a line a kind of fault."""

from __future__ import annotations

import pandas as pd
import pytest
from typer.testing import CliRunner

from mer.cli import app
from mer.clips import write_labels
from mer.errors import MerError
from mer.evaluation.candidates import faults, read_candidates


@pytest.fixture(name="names")
def names_fixture(make_run, tmp_path, monkeypatch):
    """A run on disk with valence predicted, and the names of its test clips."""
    run = make_run()
    (tmp_path / "data").mkdir()
    write_labels(tmp_path / "data/labels.parquet", run.clips)
    run.predictions.assign(t_valence=0.25).to_parquet(tmp_path / "data/predictions.parquet")
    monkeypatch.chdir(tmp_path)
    return list(run.test_labels["clip_id"])


def call(*options, names=None, **written):
    if names is not None:
        with open("list.csv", "w", encoding="utf-8") as file:
            file.write("name\n" + "\n".join(names) + "\n")
    return CliRunner().invoke(app, ["submit", "--candidates", "list.csv", *options])


def write(rows, path="mine.csv", header="name,discrete"):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")


def test_the_file_has_every_candidate_in_the_lists_order(names):
    done = call(names=names[::-1])
    assert done.exit_code == 0, done.output
    table = pd.read_csv("submission.csv", dtype=str)
    assert list(table.columns) == ["name", "discrete"]
    assert list(table["name"]) == names[::-1]
    expected = pd.read_parquet("data/predictions.parquet").set_index("clip_id")["predicted"]
    assert list(table["discrete"]) == list(expected[names[::-1]])


def test_valence_is_a_column_where_it_is_asked_for(names):
    assert call("--target", "valence", names=names).exit_code == 0
    assert list(pd.read_csv("submission.csv").columns) == ["name", "discrete", "valence"]
    refused = call("--target", "arousal", names=names)
    assert isinstance(refused.exception, MerError)
    assert "no column 't_arousal'" in str(refused.exception)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (lambda names: names[:-1], ["extra: 'clip_109'", "count: 30 rows for 29 candidates"]),
        (lambda names: [*names, "other"], ["missing: 'other'", "count: 30 rows for 31 candidates"]),
        (lambda names: [*names[:-1], "clip_1O9"], ["misspelt: 'clip_109', did you mean 'clip_1O9'?"]),
    ],
)
def test_one_missing_one_extra_and_one_misspelt_name_are_refused(names, change, lines):
    done = call(names=change(names))
    assert done.exit_code == 1
    assert done.stderr.splitlines() == lines
    with pytest.raises(FileNotFoundError):
        open("submission.csv", encoding="utf-8").close()


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (["a,angry", "b,happy", "c,angry"], []),
        (["a,angry", "b,happy"], ["missing: 'c'", "count: 2 rows for 3 candidates"]),
        (["b,angry", "a,happy", "c,angry"], ["order: row 1 is 'b' where the list has 'a'"]),
        (["a,angry", "a,happy", "b,angry", "c,angry"], ["twice: 'a'", "count: 4 rows for 3 candidates"]),
        (["a,angry", "b,joy", "c,"], ["label: 'joy' of 'b' is none of neutral, angry, happy (and 1 other)"]),
        (["A.mp4,angry", "b,happy", "c,angry"], ["misspelt: 'A.mp4', did you mean 'a'?"]),
    ],
)
def test_a_file_that_is_there_is_checked(names, rows, lines):
    write(rows)
    done = call("--check", "mine.csv", names=["a", "b", "c"])
    assert done.exit_code == bool(lines)
    assert done.stderr.splitlines() == lines


def test_numbers_that_are_none_are_told(names):
    write(["a,angry,1.5", "b,happy,nan", "c,angry,x"], header="name,discrete,valence")
    done = call("--check", "mine.csv", "--target", "valence", names=["a", "b", "c"])
    assert done.stderr.splitlines() == ["valence: 'nan' of 'b' is no number (and 1 other)"]
    assert call("--check", "mine.csv", "--target", "arousal").stderr.splitlines() == ["arousal: no such column"]


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfname,discrete\r\na,\r\nb,\r\n", b"a\n\nb \n", b"id,name\n7,a\n8,b\n"]
)
def test_lists_come_in_several_forms(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    assert read_candidates(tmp_path / "list.csv") == ["a", "b"]


SENSELESS = [("", "no names"), ("name\na\na\n", "has 'a' twice"), ("name\n,\n", "no names")]


@pytest.mark.parametrize(("content", "message"), SENSELESS)
def test_lists_without_sense_are_refused(tmp_path, content, message):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(MerError, match=message):
        read_candidates(tmp_path / "list.csv")


def test_a_list_of_another_corpus_is_told_in_two_lines_not_in_thousands():
    table = pd.DataFrame({"name": [f"x{i}" for i in range(5000)], "discrete": "a"})
    told = faults(table, [f"y{i}" for i in range(5000)], ("a",), target=None)
    assert told == ["missing: 'y0' (and 4999 others)", "extra: 'x0' (and 4999 others)"]
