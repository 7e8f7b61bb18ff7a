"""The MER2024 layout reads what the challenge ships, and names what is wrong with it."""

from __future__ import annotations

import pytest

from mer.errors import MerError

FILES = {
    "label-disdim.csv": "name,discrete,valence\nsample_1,happy,2.5\nsample_2,worried,-1\n",
    "label-transcription.csv": 'name,chinese,english\nsample_1,"好，很好",fine\nnew_1,什么？,what?\nsample_2,,\n',
    "video-labeled/sample_1.mp4": "",
    "video-labeled/sample_2.avi": "",
    "video-unlabeled-with-test2noise/new_1.mp4": "",
    "video-unlabeled-with-test2noise/new_2.mp4": "",
    "video-unlabeled-with-test2noise/new_3.mp4": "",
}


def rows_by_id(corpus):
    rows = corpus.table.rows.set_index("clip_id")
    return rows.astype(object).where(rows.notna(), None)


def test_labeled_and_unlabeled_clips_are_read(read_files):
    corpus = read_files(FILES)
    rows = rows_by_id(corpus)
    assert list(rows.index) == ["sample_1", "sample_2", "new_1", "new_2", "new_3"]
    assert list(rows["split"]) == ["labeled", "labeled", "unlabeled", "unlabeled", "unlabeled"]
    assert list(rows["label"]) == ["happy", "worried", None, None, None]
    assert rows.loc["sample_2", "path"] == "video-labeled/sample_2.avi"
    assert corpus.table.classes == ("neutral", "angry", "happy", "sad", "worried", "surprise")
    assert corpus.test_labels.empty


@pytest.mark.parametrize(("prefer", "text"), [("chinese", "好，很好"), ("english", "fine")])
def test_the_preferred_language_becomes_the_transcript(read_files, prefer, text):
    rows = rows_by_id(read_files(FILES, prefer=prefer))
    assert rows.loc["sample_1", "transcript"] == text
    assert rows.loc["sample_2", "transcript"] is None
    assert rows.loc["new_2", "transcript"] is None


def test_transcripts_may_be_missing(read_files):
    files = {path: text for path, text in FILES.items() if path != "label-transcription.csv"}
    assert rows_by_id(read_files(files))["transcript"].isna().all()


def test_candidates_make_the_test_split(read_files):
    corpus = read_files(FILES | {"candidate_20000.csv": "name\nnew_3\nnew_1\n"})
    assert list(corpus.table.rows["split"]) == ["labeled", "labeled", "test", "unlabeled", "test"]
    assert corpus.test_labels.empty


def test_labels_of_test_clips_stay_out_of_the_clip_table(read_files):
    corpus = read_files(
        FILES | {"candidate_20000.csv": "name\nnew_3\nnew_1\n", "label-test.csv": "name,discrete\nnew_3,sad\n"}
    )
    assert corpus.test_labels.values.tolist() == [["new_3", "sad"]]
    assert rows_by_id(corpus)["label"].iloc[2:].isna().all()


def test_without_candidates_the_labeled_test_clips_make_the_test_split(read_files):
    corpus = read_files(FILES | {"label-test.csv": "name,discrete\nnew_2,sad\n"})
    assert list(corpus.table.rows["split"]) == ["labeled", "labeled", "unlabeled", "test", "unlabeled"]


def test_a_file_as_excel_saves_it_is_read(read_files):
    text = '\ufeffname,discrete,valence\r\n" sample_1 ",happy,\r\n\r\nsample_2,worried,\r\n'
    corpus = read_files(FILES | {"label-disdim.csv": text})
    assert list(corpus.table.rows["label"].dropna()) == ["happy", "worried"]


def test_hidden_and_other_files_are_passed_over(read_files):
    corpus = read_files(FILES | {"video-labeled/._sample_1.mp4": "", "video-labeled/Thumbs.db": ""})
    assert len(corpus.table.rows) == 5


def test_corpus_classes_override_the_layouts_own(read_files):
    assert read_files(FILES, classes=("worried", "happy")).table.classes == ("worried", "happy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label-disdim.csv": "name,emotion\nsample_1,happy\n"}, r"label-disdim.csv: no column 'discrete'"),
        ({"label-disdim.csv": "nom,discrete\nsample_1,happy\n"}, r"label-disdim.csv: no column 'name'"),
        ({"label-disdim.csv": "name,discrete\nsample_1,happy\n"}, r"sample_2.avi: no row for 'sample_2'"),
        ({"label-disdim.csv": FILES["label-disdim.csv"] + "sample_3,sad,0\n"}, r"csv line 4: no media .* 'sample_3'"),
        ({"label-disdim.csv": FILES["label-disdim.csv"] + "sample_1,sad,0\n"}, r"line 4: duplicate name 'sample_1'"),
        ({"label-disdim.csv": "name,discrete\nsample_1,joy\nsample_2,sad\n"}, r"line 2: label 'joy' is none of neu"),
        ({"label-disdim.csv": "name,discrete\nsample_1,happy\nsample_2\n"}, r"line 3: 1 cells where the header has 2"),
        ({"label-disdim.csv": "name,discrete\nsample_1,高兴\n".encode("gb18030")}, r"label-disdim.csv: not UTF-8"),
        ({"label-disdim.csv": 'name,discrete\nsample_1,"happy\n'}, r"label-disdim.csv line 2: not valid CSV"),
        ({"label-disdim.csv": ""}, r"label-disdim.csv: empty"),
        ({"label-transcription.csv": "name,english\n"}, r"label-transcription.csv: no column 'chinese'"),
        ({"candidate_20000.csv": "name\nnew_1\nnew_9\n"}, r"candidate_20000.csv line 3: no media file for 'new_9'"),
        ({"label-test.csv": "name,discrete\nnew_1,glad\n"}, r"label-test.csv line 2: label 'glad'"),
        (
            {"candidate_20000.csv": "name\nnew_1\n", "label-test.csv": "name,discrete\nnew_2,sad\n"},
            r"label-test.csv: 'new_2' is not in candidate_20000.csv",
        ),
        ({"video-labeled/sample_1.mov": ""}, r"sample_1.mov and .*sample_1.mp4 would both be clip 'sample_1'"),
        ({"video-unlabeled-with-test2noise/sample_1.mp4": ""}, r"duplicate clip_id 'sample_1'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(read_files, change, message):
    with pytest.raises(MerError, match=message) as raised:
        read_files(FILES | change)
    assert "\n" not in str(raised.value)


def test_a_quoted_line_break_does_not_shift_the_line_that_is_named(read_files):
    text = 'name,discrete,note\nsample_1,happy,"two\nlines"\nsample_2,joy,\n'
    with pytest.raises(MerError, match="line 4: label 'joy'"):
        read_files(FILES | {"label-disdim.csv": text})


@pytest.mark.parametrize("missing", ["video-labeled", "video-unlabeled-with-test2noise", "label-disdim.csv"])
def test_a_missing_part_is_named(read_files, missing):
    files = {path: text for path, text in FILES.items() if not path.startswith(missing)}
    with pytest.raises(MerError, match=rf"{missing}.*: No such file or directory"):
        read_files(files)
