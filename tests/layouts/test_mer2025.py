"""The MER2025 and MER2026 layouts: one folder of clips, and CSV files that say what each is for."""

from __future__ import annotations

import pytest

from mer.errors import MerError

CLIPS = {f"video/clip_{number}.mp4": "" for number in range(1, 6)}
SUBTITLES = {"subtitle_chieng.csv": "name,chinese,english\nclip_1,好,good\nclip_4,不,no\nclip_9,,\n"}
TRAIN = "name,discrete,valence\nclip_2,sad,-1\nclip_1,happy,2\n"
FILES = {
    "mer2025": CLIPS
    | SUBTITLES
    | {"track1_train_disdim.csv": TRAIN, "track_all_candidates.csv": "name\nclip_4\nclip_3\n"},
    "mer2026": CLIPS | SUBTITLES | {"track1_train.csv": TRAIN, "track1_track2_candidate.csv": "name\nclip_4\nclip_3\n"},
}
LABELS = {"mer2025": "track1_test_dis.csv", "mer2026": "track1_test.csv"}


@pytest.fixture(params=["mer2025", "mer2026"])
def layout(request):
    return request.param


def splits(corpus):
    return list(corpus.table.rows["split"])


def test_clips_are_labeled_to_be_predicted_or_unlabeled(read_files, layout):
    corpus = read_files(FILES[layout], layout=layout)
    assert splits(corpus) == ["labeled", "labeled", "test", "test", "unlabeled"]
    assert list(corpus.table.rows["label"].dropna()) == ["happy", "sad"]
    assert list(corpus.table.rows["transcript"].dropna()) == ["好", "不"]
    assert corpus.test_labels.empty


def test_published_labels_stay_out_of_the_clip_table(read_files, layout):
    corpus = read_files(FILES[layout] | {LABELS[layout]: "name,discrete\nclip_3,angry\n"}, layout=layout)
    assert corpus.test_labels.values.tolist() == [["clip_3", "angry"]]
    assert corpus.table.rows["label"].count() == 2


def test_what_is_made_from_the_clips_is_not_read(read_files, layout):
    derived = {"audio/clip_1.wav": "", "openface_face/clip_1/clip_1.npy": "", "openface_face/clip_1/0.mp4": ""}
    assert len(splits(read_files(FILES[layout] | derived, layout=layout))) == 5


def test_clips_in_the_folders_of_their_archives_are_found_once(read_files, layout):
    moved = {path.replace("video/", "video/video_track1_train/video/"): text for path, text in CLIPS.items()}
    rest = {path: text for path, text in FILES[layout].items() if path not in CLIPS}
    again = {"video/video_track2_train_human/video/clip_5.mp4": ""}
    corpus = read_files(rest | moved | again, layout=layout)
    assert splits(corpus) == ["labeled", "labeled", "test", "test", "unlabeled"]
    assert corpus.table.rows["path"].iloc[4] == "video/video_track1_train/video/clip_5.mp4"


def test_a_training_clip_that_is_to_be_predicted_is_not_learned_from(read_files):
    corpus = read_files(FILES["mer2026"] | {"track1_track2_candidate.csv": "name\nclip_1\n"}, layout="mer2026")
    assert splits(corpus)[0] == "test"
    assert list(corpus.table.rows["label"].dropna()) == ["sad"]


def test_what_is_wrong_is_named_in_one_line(read_files, layout):
    name = "track1_train_disdim.csv" if layout == "mer2025" else "track1_train.csv"
    with pytest.raises(MerError, match=rf"{name} line 2: no media file for 'clip_8'"):
        read_files(FILES[layout] | {name: "name,discrete\nclip_8,sad\n"}, layout=layout)
