"""The MELD layout reads what is shipped, with the clip that was not."""

from __future__ import annotations

import logging

import pytest

from mer.errors import MerError

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
FILES = {
    "train_sent_emo.csv": HEADER + '1,"Oh, my God!",Ross,surprise,negative,0,0\n2,Fine.,Rachel,neutral,neutral,0,1\n',
    "train_splits/dia0_utt0.mp4": "",
    "train_splits/dia0_utt1.mp4": "",
    "dev_sent_emo.csv": HEADER + "1,Hey!,Joey,joy,positive,0,0\n2,Did they?,Phoebe,neutral,neutral,110,7\n",
    "dev_splits_complete/dia0_utt0.mp4": "",
    "test_sent_emo.csv": HEADER + "1,No.,Monica,anger,negative,0,0\n",
    "output_repeated_splits_test/dia0_utt0.mp4": "",
    "output_repeated_splits_test/final_videos_testdia0_utt0.mp4": "",
}
RENAMED = {"train_splits": "train", "dev_splits_complete": "dev", "output_repeated_splits_test": "test"}


def renamed(path: str) -> str:
    folder, _, name = path.partition("/")
    return f"{RENAMED[folder]}/{name}" if name else path


def as_unpacked(path: str) -> str:
    """train.tar.gz holds its rows and its clips in a folder `train`."""
    return f"train/{path}" if path.startswith("train_") else path


@pytest.mark.parametrize("where", [str, renamed, as_unpacked])
def test_parts_keep_their_names_and_dialogues(read_files, where):
    corpus = read_files({where(path): text for path, text in FILES.items()}, layout="meld")
    rows = corpus.table.rows
    assert list(rows["clip_id"]) == ["train_dia0_utt0", "train_dia0_utt1", "dev_dia0_utt0", "test_dia0_utt0"]
    assert list(rows["split"]) == ["labeled", "labeled", "labeled", "test"]
    assert list(rows["group"]) == ["train_dia0", "train_dia0", "dev_dia0", "test_dia0"]
    assert rows["transcript"].iloc[0] == "Oh, my God!"
    assert list(rows["label"].dropna()) == ["surprise", "neutral", "joy"]
    assert corpus.test_labels.values.tolist() == [["test_dia0_utt0", "anger"]]


def test_an_utterance_without_a_file_is_passed_over_with_a_warning(read_files, caplog):
    with caplog.at_level(logging.WARNING):
        read_files(FILES, layout="meld")
    assert "dev_sent_emo.csv: 1 utterances have no file, the first is dia110_utt7" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dev_sent_emo.csv": HEADER + "1,Hey!,Joey,glad,positive,0,0\n"}, r"dev_sent_emo.csv line 2: label 'glad'"),
        ({"dev_sent_emo.csv": FILES["dev_sent_emo.csv"] + "3,Hey!,Joey,joy,positive,0,0\n"}, r"line 4: duplicate utt"),
        ({"test_sent_emo.csv": "Utterance\n"}, r"test_sent_emo.csv: no column 'Emotion'"),
        ({"test_sent_emo.csv": None}, r"test_sent_emo.csv: No such file"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(read_files, change, message):
    files = {path: text for path, text in (FILES | change).items() if text is not None}
    with pytest.raises(MerError, match=message):
        read_files(files, layout="meld")
