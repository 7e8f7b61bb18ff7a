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


SEGMENTS = "path,label,start,end\nc.wav,joy,0,1.5\nc.wav,anger,1.5,4\na.mp4,joy,,\n"


def test_segments_of_a_file_are_clips_of_their_own(read_files):
    rows = read_folder(read_files, FILES | {"labels.csv": SEGMENTS}).table.rows
    assert rows["clip_id"].tolist() == ["a", "c_0.000-1.500", "c_1.500-4.000", "b"]
    assert rows["start"].fillna(-1).tolist() == [-1, 0, 1.5, -1]
    assert rows["end"].fillna(-1).tolist() == [-1, 1.5, 4, -1]
    assert rows["split"].tolist() == ["labeled", "labeled", "labeled", "unlabeled"]


def test_two_people_may_speak_at_a_time(read_files):
    text = "path,clip_id,label,start,end,group\nc.wav,x,joy,0,2,1\nc.wav,y,anger,1,3,2\n"
    assert read_folder(read_files, FILES | {"labels.csv": text}).table.rows["clip_id"].tolist() == ["a", "x", "y", "b"]


def test_segments_that_overlap_name_both_and_the_line(read_files):
    text = "path,clip_id,label,start,end\nc.wav,x,joy,0,2\nc.wav,y,anger,1,3\n"
    with pytest.raises(MerError, match=r"line 3: segment 'y' overlaps 'x' of the same file c.wav; say by 'group'"):
        read_folder(read_files, FILES | {"labels.csv": text})


@pytest.mark.parametrize("prefix", ["soft_", ""])
def test_votes_are_shares_and_the_label_is_the_likeliest(read_files, prefix):
    text = f"clip_id,{prefix}joy,{prefix}anger,{prefix}fear\na,1,3,0\nb,,,\nc,2,1,1\n"
    table = read_folder(read_files, FILES | {"labels.csv": text}, classes=("joy", "anger", "fear")).table
    rows = table.rows.set_index("clip_id")
    assert rows.loc["a", ["soft_joy", "soft_anger", "soft_fear"]].tolist() == [0.25, 0.75, 0]
    assert rows.loc["b", ["soft_joy", "soft_anger", "soft_fear"]].isna().all()
    assert rows.loc[["a", "c"], "label"].tolist() == ["anger", "joy"]
    assert rows.loc["b", "split"] == "unlabeled"


def test_votes_of_merged_classes_are_summed_and_those_of_dropped_ones_left_out(read_files):
    text = "clip_id,soft_joy,soft_glad,soft_anger,soft_other\na,2,2,3,5\nb,0,0,0,4\nc,1,0,0,0\n"
    label_map = {"joy": "happy", "glad": "happy", "anger": "angry", "other": None}
    corpus = read_folder(read_files, FILES | {"labels.csv": text}, label_map=label_map)
    rows = corpus.table.rows.set_index("clip_id")
    assert rows.loc["a", ["label", "soft_happy", "soft_angry"]].tolist() == ["happy", 4 / 7, 3 / 7]
    assert list(rows.index) == ["a", "c"]
    assert corpus.notes.found["dropped"] == ["b (votes)"]


def test_votes_of_the_test_split_go_to_its_own_table(read_files):
    text = "clip_id,soft_joy,soft_anger,split\na,1,3,\nb,3,1,test\n"
    corpus = read_folder(read_files, FILES | {"labels.csv": text})
    assert corpus.test_labels.values.tolist() == [["b", "joy", 0.25, 0.75]]
    assert corpus.table.rows.set_index("clip_id").loc["b", ["soft_joy", "label"]].isna().all()


def test_targets_come_beside_classes_or_without_any(read_files):
    text = "clip_id,label,valence,target_arousal\na,joy,0.5,1\nb,anger,,-1\nc,,2,\n"
    both = read_folder(read_files, FILES | {"labels.csv": text}, target=("valence", "arousal")).table
    rows = both.rows.set_index("clip_id")
    assert both.targets == ("valence", "arousal")
    assert rows.loc["a", ["target_valence", "target_arousal"]].tolist() == [0.5, 1.0]
    assert rows.loc[["a", "b", "c"], "target_valence"].isna().tolist() == [False, True, False]
    assert rows.loc["c", "split"] == "labeled"
    alone = read_folder(read_files, {"labels.csv": "clip_id,valence\na,0.5\nb,1\n"}, target="valence").table
    assert alone.classes == ()
    assert alone.rows["label"].isna().all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,label,valence\na,joy,NaN\n", "line 2: valence 'NaN' is not a number; leave the cell empty"),
        ("clip_id,label,valence\na,joy,-inf\n", "line 2: valence '-inf' is not a number"),
        ("clip_id,label,valence\na,joy,much\n", "line 2: valence 'much' is not a number"),
        ("clip_id,label,valence\na,joy,\n", "no labeled clip of .* has a number for 'valence'"),
        ("clip_id,label,arousal\na,joy,1\n", "corpus.target: .*labels.csv has no column 'valence'"),
    ],
)
def test_a_target_that_is_no_number_is_named(read_files, text, message):
    with pytest.raises(MerError, match=message):
        read_folder(read_files, FILES | {"labels.csv": text}, target="valence")


def test_the_corpus_own_folds_are_taken(read_files):
    rows = read_folder(read_files, FILES | {"labels.csv": "clip_id,label,fold\na,joy,x1\nb,anger,x2\n"}).table.rows
    assert rows["corpus_fold"].fillna("").tolist() == ["x1", "", "x2"]


@pytest.mark.parametrize(
    ("label_map", "labels"),
    [
        ({"joy": "happy", "anger": None, "7": "angry"}, {"a": "happy", "c": "angry"}),
        ({"JOY": "happy", "Anger": "angry", 7: "angry"}, {"a": "happy", "b": "angry", "c": "angry"}),
    ],
)
def test_labels_are_mapped_merged_and_dropped(read_files, label_map, labels):
    text = "clip_id,label\na,joy\nb,anger\nc,7\n"
    rows = read_folder(read_files, FILES | {"labels.csv": text}, label_map=label_map).table.rows
    assert dict(zip(rows["clip_id"], rows["label"], strict=True)) == labels


def test_all_labels_outside_the_map_are_counted_in_one_line(read_files):
    text = "clip_id,label\na,joy\nb,anger\nc,anger\n"
    with pytest.raises(MerError) as raised:
        read_folder(read_files, FILES | {"labels.csv": text}, label_map={"joy": "happy"})
    assert "line 3: label 'anger' is none of happy; 2 clips have such labels: 'anger' (2)" in str(raised.value)
    assert "corpus.label_map names none of them" in str(raised.value)


def test_a_map_to_what_is_no_class_is_named(read_files):
    with pytest.raises(MerError, match=r"corpus\.label_map: 'joy' is to be 'glad', which is none of happy, angry"):
        read_folder(
            read_files,
            FILES | {"labels.csv": "clip_id,label\na,joy\n"},
            label_map={"joy": "glad"},
            classes=("happy", "angry"),
        )


def test_labels_that_differ_by_capitals_are_one_class_as_most_write_it(read_files):
    text = "clip_id,label\na,Joy\nb,joy \nc,joy\n"
    table = read_folder(read_files, FILES | {"labels.csv": text}).table
    assert table.classes == ("joy",)
    assert table.rows["label"].tolist() == ["joy"] * 3


GOOD = "clip_id;label;transcript\r\na;快乐;早上好\r\nb;anger;你好\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk", "utf-16-le", "utf-16-be"])
def test_tables_in_other_encodings_are_read(read_files, encoding):
    named = encoding if encoding in ("gb18030", "gbk", "utf-16-le", "utf-16-be") else "utf-8"
    table = read_folder(read_files, FILES | {"labels.csv": GOOD.encode(encoding)}, encoding=named).table
    assert table.classes == ("anger", "快乐")
    assert table.rows.set_index("clip_id").loc["a", "transcript"] == "早上好"


def test_chinese_text_of_windows_says_what_it_reads_as(read_files):
    with pytest.raises(MerError) as raised:
        read_folder(read_files, FILES | {"labels.csv": GOOD.encode("gbk")})
    assert "not UTF-8 (near line 2); it reads as GB18030 ('快乐早上好你'): set corpus.encoding: gb18030" in str(
        raised.value
    )


def test_decimal_commas_are_read_where_semicolons_part_the_cells(read_files):
    text = "clip_id;label;valence\na;joy;0,5\nb;joy;-1.25\n"
    rows = read_folder(read_files, FILES | {"labels.csv": text}, target="valence").table.rows
    assert rows["target_valence"].dropna().tolist() == [0.5, -1.25]
