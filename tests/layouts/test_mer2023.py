"""The MER2023 layout reads its archives where they were unpacked, and names what is wrong with them."""

from __future__ import annotations

import pytest

from mer.errors import MerError

FILES = {
    "train-label.csv": "name,discrete,valence\nsample_1,happy,2.5\nsample_2,worried,-1\n",
    "train/sample_1.avi": "",
    "train/sample_2.avi": "",
    "test1/multi_1.avi": "",
    "test1-label.csv": "name,discrete,valence\nmulti_1,angry,-2\n",
    "test2/noise_1.mp4": "",
    "test2-label.csv": "name,discrete,valence\nnoise_1,sad,-2\n",
    "test3/semi_1.avi": "",
    "test3/semi_2.avi": "",
    "test3-label.csv": "name,discrete\nsemi_2,neutral\n",
}
ARCHIVES = {"train": "mer2023train", "test3": "mer2023train", "test1": "mer2023test1&2", "test2": "mer2023test1&2"}


def archived(path: str) -> str:
    """Where a file of FILES lies when each archive keeps a folder of its own."""
    if path.startswith("test") and path.endswith(".csv"):
        return f"test-labels/{path}"
    return f"{ARCHIVES[path.removesuffix('-label.csv').split('/')[0]]}/{path}"


def splits(corpus):
    return dict(zip(corpus.table.rows["clip_id"], corpus.table.rows["split"], strict=True))


@pytest.mark.parametrize("files", [FILES, {archived(path): text for path, text in FILES.items()}])
def test_train_is_labeled_and_the_labeled_clips_of_mer_semi_are_the_test(read_files, files):
    corpus = read_files(files, layout="mer2023")
    assert splits(corpus) == {
        "sample_1": "labeled",
        "sample_2": "labeled",
        "multi_1": "unlabeled",
        "noise_1": "unlabeled",
        "semi_1": "unlabeled",
        "semi_2": "test",
    }
    assert list(corpus.table.rows["label"].dropna()) == ["happy", "worried"]
    assert corpus.test_labels.values.tolist() == [["semi_2", "neutral"]]
    assert corpus.table.classes == ("neutral", "angry", "happy", "sad", "worried", "surprise")


@pytest.mark.parametrize(
    ("test", "clip", "label"), [("test1", "multi_1", "angry"), ("test2", "noise_1", "sad"), ("test3", "semi_2", None)]
)
def test_another_test_set_can_be_the_test(read_files, test, clip, label):
    corpus = read_files(FILES, layout="mer2023", test=test)
    assert [name for name, split in splits(corpus).items() if split == "test"] == [clip]
    if label:
        assert corpus.test_labels.values.tolist() == [[clip, label]]


def test_without_its_labels_a_whole_test_set_is_the_test(read_files):
    files = {path: text for path, text in FILES.items() if path != "test3-label.csv"}
    corpus = read_files(files, layout="mer2023")
    assert [name for name, split in splits(corpus).items() if split == "test"] == ["semi_1", "semi_2"]
    assert corpus.test_labels.empty


def test_test_sets_that_are_not_asked_for_may_be_missing(read_files):
    files = {path: text for path, text in FILES.items() if not path.startswith(("test1", "test2"))}
    assert len(splits(read_files(files, layout="mer2023"))) == 4


def test_transcripts_of_ones_own_are_read(read_files):
    files = FILES | {"transcription.csv": "name,chinese,english\nsemi_1,好,good\n"}
    rows = read_files(files, layout="mer2023", prefer="english").table.rows.set_index("clip_id")
    assert rows.loc["semi_1", "transcript"] == "good"
    assert rows["transcript"].notna().sum() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train/sample_3.avi": ""}, r"train/sample_3.avi: no row for 'sample_3' in train-label.csv"),
        ({"train-label.csv": "name,discrete\nsample_9,sad\n"}, r"train-label.csv line 2: no media file for 'sample_9'"),
        ({"test3-label.csv": "name,discrete\nsemi_1,glad\n"}, r"test3-label.csv line 2: label 'glad' is none of"),
        ({"test1-label.csv": None, "test3/semi_1.mp4": ""}, r"would both be clip 'semi_1'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(read_files, change, message):
    files = {path: text for path, text in (FILES | change).items() if text is not None}
    with pytest.raises(MerError, match=message) as raised:
        read_files(files, layout="mer2023")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("missing", ["train/", "train-label.csv", "test3/"])
def test_a_missing_part_is_named(read_files, missing):
    files = {path: text for path, text in FILES.items() if not path.startswith(missing)}
    with pytest.raises(MerError, match=rf"{missing.rstrip('/')}: No such file or directory"):
        read_files(files, layout="mer2023")
