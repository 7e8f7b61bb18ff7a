"""Corpora in slightly other shapes than their owners': read all the same, or refused in one line that says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mer.errors import MerError
from mer.layouts import read_corpus
from mer.layouts.text import lines_of
from mer.params import CorpusParams
from tests.layouts import miniatures as m
from tests.layouts.conftest import write_files

Files = m.Files


def lower(files: Files) -> Files:
    return {path.lower(): content for path, content in files.items()}


def upper(files: Files) -> Files:
    return {path.upper(): content for path, content in files.items()}


def read(root: Path, files: Files, **params: object) -> object:
    return read_corpus(CorpusParams(root=str(write_files(root, files)), **{"layout": "auto", **params}))


def labels_of(corpus) -> list[str]:
    return sorted(corpus.table.rows["label"].dropna())


@pytest.mark.parametrize("change", [lower, upper])
@pytest.mark.parametrize("make", [m.emodb, m.crema_d])
def test_names_in_other_capitals_mean_the_same(tmp_path, make, change):
    plain, other = read(tmp_path / "a", make()), read(tmp_path / "b", change(make()))
    assert labels_of(other) == labels_of(plain)
    assert sorted(other.table.rows["group"]) == sorted(plain.table.rows["group"])
    assert other.table.rows["transcript"].notna().sum() == plain.table.rows["transcript"].notna().sum()


@pytest.mark.parametrize("make", [m.ch_sims, m.mosi])
def test_mmsas_folder_and_table_may_have_other_capitals(tmp_path, make):
    files = {path.replace("Raw/", "RAw/").replace("label.csv", "Label.CSV"): what for path, what in make().items()}
    assert len(read(tmp_path, files).table.rows) == len(files) - 1


def test_sound_of_crema_d_alone_lies_anywhere(tmp_path):
    files = {f"deep/er/{path.split('/')[1]}": what for path, what in m.crema_d().items() if path.startswith("AudioWAV")}
    assert len(read(tmp_path / "a", files).table.rows) == len(files)
    assert len(read(tmp_path / "b", files, layout="crema-d").table.rows) == len(files)


def test_the_front_of_mead_may_be_spelled_with_a_capital(tmp_path):
    files = {path.replace("/front/", "/Front/"): what for path, what in m.mead().items()}
    assert read(tmp_path, files).table.rows["path"].str.contains("/Front/").all()


def test_a_byte_order_mark_before_emoboxs_label_map_is_none_of_it(tmp_path):
    files = m.emobox()
    files["data/emodb/label_map.json"] = "\ufeff" + str(files["data/emodb/label_map.json"])
    assert "Boredom" in labels_of(read(tmp_path, files))


def test_a_second_table_beside_the_first_is_noted(tmp_path):
    corpus = read(tmp_path, m.ch_sims() | {"meta.csv": m.SIMS})
    assert corpus.notes.found["passed over"] == ["meta.csv"]


def test_blanks_within_a_label_count_once(tmp_path):
    files = {f"{name}.wav": name for name in "abc"}
    table = "clip_id,label\na,very happy\nb,very  happy\nc,very\u00a0happy\n"
    assert read(tmp_path, files | {"labels.csv": table}).table.classes == ("very happy",)


def with_columns(change: Callable[[list[str]], list[str]]) -> Files:
    rows = [line.split(",") for line in m.MOSI.splitlines()]
    return m.mosi() | {"label.csv": "\n".join(",".join(change(row)) for row in rows) + "\n"}


def bare(row: list[str]) -> list[str]:
    return [*row[:4], row[-1]]


def test_mosi_and_mosei_that_nothing_tells_apart_are_not_guessed(tmp_path):
    with pytest.raises(MerError, match=r"label\.csv may be mosi or mosei.*name it in corpus\.layout"):
        read(tmp_path / "corpus", with_columns(bare))
    assert len(read(tmp_path / "corpus", {}, layout="mosei").table.rows) == 5


@pytest.mark.parametrize("name", ["mosi", "mosei"])
def test_the_folders_name_tells_mosi_from_mosei(tmp_path, name):
    corpus = read(tmp_path / f"CMU-{name.upper()}", with_columns(bare))
    assert corpus.notes.about[0].startswith(f"recognised as {name} by")


def test_a_column_more_does_not_make_mosei_of_mosi_nor_mosi_of_mosei(tmp_path):
    for name, make in (("mosi", m.mosi), ("mosei", m.mosei)):
        header, *rows = str(make()["label.csv"]).splitlines()
        table = "\n".join([header + ",by", *(row + ",x" for row in rows)])
        corpus = read(tmp_path / name[2:] / "corpus", make() | {"label.csv": table})
        assert corpus.notes.about[0].startswith(f"recognised as {name} by")


def test_more_clips_than_mosi_has_are_mosei_unless_the_folder_says_mosi(tmp_path):
    header = "video_id,clip_id,text,label,mode"
    rows = [f"v{number // 10},{number % 10},x,{number % 3 - 1}.0,train" for number in range(2_300)]
    files: Files = {"label.csv": "\n".join([header, *rows]), "Raw/v0/1.mp4": "", "Raw/v0/0.mp4": ""}
    assert read(tmp_path / "corpus", files).notes.about[0].startswith("recognised as mosei by")
    with pytest.raises(MerError, match="may be mosi or mosei"):
        read(tmp_path / "MOSI", files)


FILES = {"a.mp4": "1", "b.wav": "2", "c.mkv": "3"}


@pytest.mark.parametrize(
    ("files", "params", "message"),
    [
        (  # archives pack the folder that they are named after
            {f"download (1)/x/{path}": what for path, what in m.mer2024().items()},
            {},
            r"download \(1\)/x is one of mer2024 \(.*is it the one to name in corpus\.root\?$",
        ),
        (
            {path: what.encode("gb18030") if isinstance(what, str) else what for path, what in m.ch_sims().items()},
            {},
            r"label\.csv: not UTF-8 .*set corpus\.encoding: gb18030",
        ),
        (
            m.ch_sims() | {"label.csv": m.SIMS.replace("你好", "你,好")},
            {},
            r"label\.csv line 3: 10 cells where .* has 9$",
        ),
        (  # unpacked twice: the folders called `train` hold folders, not clips
            {
                "MELD.Raw/" + re.sub(r"^(train|dev)_splits", r"\1/\1_splits", path): what
                for path, what in m.meld().items()
            },
            {},
            r"no clip has a label, .*; 4 labels without a file: .*MELD\.Raw has 3 labeled clips: is it the one to name",
        ),
        (
            {f"Actor_01/01-02-0{number}-01-01-01-01.mp4": "" for number in range(1, 4)},
            {},
            r"no clips found; 3 files of other kinds, passed over: .*01\.mp4$",
        ),
        (
            {"label.csv": m.SIMS, **{f"Raw/{video}_{clip}.mp4": "" for video, clip in m._pairs(m.SIMS)}},
            {},
            r"no clip has a label, .*; 4 labels without a file: .*; 4 files without a label: .*more$",
        ),
        (
            {path.replace("level_", "level"): what for path, what in m.mead().items()},
            {"layout": "mead"},
            r"no clips found; 23 files without a label: .*more$",
        ),
        (
            FILES | {"labels.csv": "clip_id,label\na,nan\nb,y\nc,z\n"},
            {},
            r"labels\.csv line 2: label 'nan' is how programs write that there is none; leave the cell empty",
        ),
        (
            FILES | {"labels.csv": b"PK\x03\x04\x14\x00\x06\x00\x08\x00"},
            {},
            r"labels\.csv: a spreadsheet or another archive, not text; save it as CSV$",
        ),
        (
            m.mosi() | {"label.csv": m.MOSI.replace("Neutral,valid", "Neutral,test")},
            {},
            r"line 4: label 'neutral' is none of negative, positive; corpus\.label_map may map it to a class",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, files, params, message):
    with pytest.raises(MerError, match=message) as refused:
        read(tmp_path / "corpus", files, **params)
    assert "\n" not in str(refused.value)


def test_nan_may_be_a_class_where_params_say_so(tmp_path):
    files = FILES | {"labels.csv": "clip_id,label\na,nan\nb,y\nc,z\n"}
    corpus = read(tmp_path, files, layout="folder", label_map={"nan": None, "y": "y", "z": "z"})
    assert labels_of(corpus) == ["y", "z"]


@pytest.mark.parametrize("mark", ["\x0b", "\x85", "\u2028"], ids=ascii)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
def test_what_is_said_parts_no_line(mark: str, end: str, tmp_path: Path) -> None:
    """The dots of Windows' Western text (0x85) are such a mark where it is read as Latin-1."""
    assert lines_of(f"one{mark}two{end}{end}three{end}") == [f"one{mark}two", "", "three"]
    assert lines_of("") == []
    transcript = next(path for path in m.iemocap() if "/transcriptions/" in path)
    said = m.iemocap()[transcript].replace("\n", f" so{mark}on{end}")
    root = write_files(tmp_path / "said", m.iemocap() | {transcript: said.encode()})
    plain = write_files(tmp_path / "plain", m.iemocap() | {transcript: said.replace(mark, " ").encode()})
    found, same = (read_corpus(CorpusParams(root=str(path), layout="iemocap")) for path in (root, plain))
    assert list(found.table.rows["clip_id"]) == list(same.table.rows["clip_id"])
    assert [len(text or "") for text in found.table.rows["transcript"]] == [
        len(text or "") for text in same.table.rows["transcript"]
    ]


def test_a_name_in_an_emobox_list_parts_no_line(tmp_path: Path) -> None:
    files = {
        path: text.replace('"type": "raw"', '"type": "ra\u2028w"') if path.endswith(".jsonl") else text
        for path, text in m.emobox().items()
    }
    found = read_corpus(CorpusParams(root=str(write_files(tmp_path, files)), layout="emobox"))
    assert len(found.table.rows) == len(m.EMODB)
