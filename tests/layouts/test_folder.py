"""Any folder of clips with a CSV file of labels is read, and mistakes in the file are named."""

from __future__ import annotations

import pytest

from mer.errors import MerError

FILES = {"a.mp4": "", "deep/er/b.flac": "", "c.wav": ""}


def read_folder(read_files, files, **params):
    return read_files(files, layout="folder", **params)


def test_files_at_any_depth_are_clips_and_those_without_a_row_are_unlabeled(read_files):
    corpus = read_folder(read_files, FILES | {"labels.csv": "clip_id,label\nb,joy\n", "notes.txt": ""})
    rows = corpus.table.rows.set_index("clip_id")
    assert dict(rows["path"]) == {"a": "a.mp4", "b": "deep/er/b.flac", "c": "c.wav"}
    assert dict(rows["split"]) == {"a": "unlabeled", "b": "labeled", "c": "unlabeled"}
    assert corpus.table.classes == ("joy",)


def test_files_whose_endings_are_passed_over_are_counted(read_files, caplog):
    extra = {"d.mp5": "", "deep/e.MP5": "", "deep/f.part": "", "g": "", ".hidden": "", "notes.txt": "", "h.csv": ""}
    read_folder(read_files, FILES | extra | {"labels.csv": "clip_id,label\nb,joy\n"})
    (line,) = [record.getMessage() for record in caplog.records]
    assert "4 files are no clips by their endings and passed over: 2 .mp5, 1 .part, 1 without an ending" in line


def test_nothing_is_said_of_what_lies_beside_clips(read_files, caplog):
    read_folder(read_files, FILES | {"labels.csv": "clip_id,label\nb,joy\n", "readme.md": "", "a.srt": "", "a.npy": ""})
    assert not caplog.records


def test_optional_columns_are_taken(read_files):
    text = 'clip_id,label,split,group,transcript\na,joy,,03,"Ja, gut"\nb,anger,unlabeled,,\nc,,test,04,\n'
    corpus = read_folder(read_files, FILES | {"labels.csv": text})
    rows = corpus.table.rows.set_index("clip_id")
    assert list(rows["split"]) == ["labeled", "test", "unlabeled"]
    assert rows.loc["a", "group"] == "03"
    assert rows.loc["a", "transcript"] == "Ja, gut"
    assert rows["label"].notna().tolist() == [True, False, False]


def test_labels_of_the_test_split_go_to_their_own_table(read_files):
    text = "clip_id,label,split\na,joy,\nb,anger,\nc,anger,test\n"
    corpus = read_folder(read_files, FILES | {"labels.csv": text})
    assert corpus.test_labels.values.tolist() == [["c", "anger"]]
    assert "c" not in set(corpus.table.rows.dropna(subset="label")["clip_id"])


def test_the_test_split_has_no_say_in_the_classes(read_files):
    text = "clip_id,label,split\na,joy,\nb,anger,\nc,fear,test\n"
    with pytest.raises(MerError, match="line 4: label 'fear' is none of anger, joy"):
        read_folder(read_files, FILES | {"labels.csv": text})


@pytest.mark.parametrize("path", ["deep/er/b.flac", "./deep/er/b.flac", "deep\\er\\b.flac"])
def test_rows_may_name_the_path(read_files, path):
    corpus = read_folder(read_files, FILES | {"labels.csv": f"path,label\n{path},joy\n"})
    assert corpus.table.rows.set_index("clip_id").loc["b", "label"] == "joy"


def test_a_row_with_path_and_clip_id_gives_the_clip_its_name(read_files):
    corpus = read_folder(read_files, FILES | {"labels.csv": "path,clip_id,label\nc.wav,Clip C,joy\n"})
    assert list(corpus.table.rows["clip_id"]) == ["a", "Clip C", "b"]


def test_equal_names_in_different_folders_are_told_apart_by_path(read_files):
    files = {"x/a.mp4": "", "y/a.mp4": "", "y/b.mp4": "", "labels.csv": "clip_id,label\nx/a,joy\n"}
    rows = read_folder(read_files, files).table.rows
    assert list(rows["clip_id"]) == ["x/a", "y/a", "b"]


def test_decomposed_file_names_meet_composed_labels(read_files):
    corpus = read_folder(read_files, {"Mu\u0308ller.wav": "", "labels.csv": "clip_id,label\nM\u00fcller,joy\n"})
    assert corpus.table.rows["label"].tolist() == ["joy"]


def test_columns_under_other_names_are_mapped(read_files):
    text = "file,emotion,speaker,group\na,joy,7,ignored\n"
    corpus = read_folder(
        read_files,
        FILES | {"clips.csv": text},
        labels="clips.csv",
        columns={"clip_id": "file", "label": "emotion", "group": "speaker"},
    )
    assert corpus.table.rows.set_index("clip_id").loc["a", ["label", "group"]].tolist() == ["joy", "7"]


def test_a_mapped_column_that_does_not_exist_is_named(read_files):
    with pytest.raises(MerError, match=r"corpus.columns.group: .*labels.csv has no column 'speaker'"):
        read_folder(read_files, FILES | {"labels.csv": "clip_id,label\n"}, columns={"group": "speaker"})


def test_labels_may_lie_outside_the_corpus(read_files, tmp_path_factory):
    labels = tmp_path_factory.mktemp("elsewhere") / "mine.csv"
    labels.write_text("clip_id,label\na,joy\n")
    assert read_folder(read_files, FILES, labels=str(labels)).table.classes == ("joy",)


def test_a_link_back_to_the_corpus_does_not_loop(read_files, tmp_path):
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(read_folder(read_files, FILES | {"labels.csv": "clip_id,label\na,joy\n"}).table.rows) == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"labels.csv: No such file"),
        ({"labels.csv": "clip_id\na\n"}, r"labels.csv: no column 'label'"),
        ({"labels.csv": "name,label\na,joy\n"}, r"labels.csv: no column 'clip_id'"),
        ({"labels.csv": "clip_id,label,label\na,joy,joy\n"}, r"header has column 'label' twice"),
        ({"labels.csv": "clip_id,label\na,joy\nz,joy\n"}, r"line 3: no media file for clip_id 'z'"),
        ({"labels.csv": "clip_id,label\na.mp4,joy\n"}, r"line 2: no media file .*is it 'a', the file a.mp4"),
        ({"labels.csv": "clip_id,label\na,joy\na,joy\n"}, r"line 3: duplicate clip_id 'a' \(first in line 2\)"),
        ({"labels.csv": "path,label\na.mp4,joy\n./a.mp4,joy\n"}, r"line 3: 'a.mp4' is already in line 2"),
        ({"labels.csv": "clip_id,label\n,joy\n"}, r"line 2: empty 'clip_id'"),
        ({"labels.csv": "clip_id,label,split\na,joy,train\n"}, r"line 2: split 'train' is none of labeled, unlab"),
        ({"labels.csv": "clip_id,label,split\na,,labeled\n"}, r"line 2: in the labeled split but without a label"),
        ({"labels.csv": "path,clip_id,label\nc.wav,a,joy\n"}, r"duplicate clip_id 'a'"),
        ({"labels.csv": "clip_id,label\na,\n"}, r"no clip has a label"),
        ({"labels.csv": "clip_id,label\na,joy\n", "a.wav": ""}, r"a.mp4 and a.wav would both be clip 'a'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(read_files, files, message):
    with pytest.raises(MerError, match=message) as raised:
        read_folder(read_files, FILES | files)
    assert "\n" not in str(raised.value)


def test_a_label_outside_corpus_classes_is_named(read_files):
    with pytest.raises(MerError, match="line 2: label 'joy' is none of anger, fear"):
        read_folder(read_files, FILES | {"labels.csv": "clip_id,label\na,joy\n"}, classes=("anger", "fear"))
