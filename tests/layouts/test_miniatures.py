"""A miniature of every layout, in the shape in which its owners ship it, through ingest."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from mer.clips import read_clips, read_labels, read_test_labels, read_texts
from mer.clips.tables import CORPUS_FOLD
from mer.errors import MerError
from mer.layouts import LAYOUTS, read_corpus
from mer.layouts.recognise import recognise
from mer.params import CorpusParams, Params, parse_params
from stages.ingest import ingest
from tests.layouts.conftest import write_files
from tests.layouts.miniatures import MINIATURES, STUB, crema_d, emobox, iemocap, mead, meld, mosi


def test_every_layout_has_a_miniature():
    elsewhere = {"auto", "audformat", "mertools", "mmsa"}  # test_audformat.py, test_features_only.py
    assert set(MINIATURES) == set(LAYOUTS) - elsewhere


@pytest.fixture
def ingested(tmp_path, monkeypatch):
    """Write a corpus, run the stage on it, and read its tables."""

    def run(files, layout, **corpus):
        root = write_files(tmp_path / "corpus", files)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
        ingest(parse_params({"corpus": {"root": str(root), "layout": layout, **corpus}}))
        labels = read_labels("data/labels.parquet")
        rows = labels.rows.merge(read_clips("data/clips.parquet"), on="clip_id")
        return rows.set_index("clip_id"), labels, read_test_labels("data/test_labels.parquet")

    return run


@pytest.mark.parametrize("layout", MINIATURES)
def test_ingest_takes_every_miniature_and_recognises_it(ingested, layout, capsys):
    rows, labels, _ = ingested(MINIATURES[layout](), layout)
    assert (rows["split"] == "labeled").any()
    assert set(rows["label"].dropna()) <= set(labels.classes)
    assert all((Path("corpus") / path).is_file() for path in rows["path"])
    named, seen = recognise(Path("corpus"), CorpusParams())
    assert named == layout
    assert seen


@pytest.mark.parametrize("layout", MINIATURES)
def test_auto_gives_the_same_as_the_layout_by_name(tmp_path, layout):
    root = str(write_files(tmp_path, MINIATURES[layout]()))
    by_name, auto = (read_corpus(CorpusParams(root=root, layout=name)) for name in (layout, "auto"))
    pd.testing.assert_frame_equal(by_name.table.rows, auto.table.rows)
    assert auto.notes.about[0].startswith(f"recognised as {layout} by ")


@pytest.mark.parametrize("layout", [name for name in MINIATURES if name != "folder"])
@pytest.mark.parametrize("where", ["above", "below"])
def test_a_folder_above_or_below_is_read_or_hinted_at(tmp_path, layout, where):
    inner = write_files(tmp_path / "outer/inner", MINIATURES[layout]())
    root = tmp_path / "outer" if where == "above" else sorted(path for path in inner.iterdir() if path.is_dir())[0]
    said = ""
    try:
        assert len(read_corpus(CorpusParams(root=str(root), layout=layout)).table.rows)
    except MerError as error:
        said = str(error)
    assert not said or f"{inner} is one of {layout}" in said or "corpus.root is the folder that holds both" in said
    assert "\n" not in said


def test_iemocap_is_cut_to_turns_halves_sessions_and_speakers(ingested, capsys):
    rows, labels, _ = ingested(iemocap(), "iemocap", target=["valence", "arousal", "dominance"])
    assert labels.classes == ("neutral", "happy", "angry", "sad")
    assert list(rows.index) == [f"Ses0{n}F_impro01_{turn}" for n in (1, 2) for turn in ("F000", "M000")]
    first, second = rows.iloc[0], rows.iloc[1]
    assert (first["start"], first["end"], first["crop"]) == (6.2901, 8.2357, "left")
    assert (second["crop"], second["label"], second["group"]) == ("right", "happy", "Ses01M")
    assert first["path"] == "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert first["sound"] == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    assert second[["target_valence", "target_arousal", "target_dominance"]].tolist() == [4.0, 3.5, 2.5]
    assert rows[CORPUS_FOLD].tolist() == ["Session1"] * 2 + ["Session2"] * 2
    texts = read_texts("data/corpus_text.parquet")
    assert texts["Ses01F_impro01_M000"] == "Do you have your forms?"
    said = capsys.readouterr().out
    assert "4 clips dropped by the label map: Ses01F_impro01_M001 (xxx)" in said
    assert "4 lines that are not understood" in said


def test_iemocap_six_ways_keeps_what_four_merge(ingested):
    rows, labels, _ = ingested(iemocap(), "iemocap", label_map="iemocap-6")
    assert labels.classes == ("neutral", "happy", "sad", "angry", "excited", "frustrated")
    assert rows["label"].tolist() == ["neutral", "excited", "frustrated"] * 2


@pytest.mark.parametrize(
    ("label_map", "labels"),
    [
        ({"neu": "calm", "exc": "loud", "xxx": None, "fru": None}, ["calm", "loud"]),
        ({"neutral": "calm", "Excited": "loud", "XXX": None, "frustrated": "loud"}, ["calm", "loud", "loud"]),
    ],
)
def test_a_label_map_may_call_labels_by_code_or_name(ingested, label_map, labels):
    rows, _, _ = ingested(iemocap(1), "iemocap", label_map=label_map)
    assert rows["label"].tolist() == labels


def test_labels_that_no_map_names_are_counted_before_anything_is_written(ingested, tmp_path):
    with pytest.raises(MerError) as raised:
        ingested(iemocap(), "iemocap", label_map={"neu": "neutral", "exc": "happy"})
    assert "4 clips have such labels: 'xxx' (2), 'fru' (2)" in str(raised.value)
    assert "Ses01F_impro01.txt line 10: label 'xxx' is none of neutral, happy" in str(raised.value)
    assert not list(tmp_path.glob("data/*.parquet"))


def test_a_dialogue_without_its_video_is_sound_and_one_without_sound_is_video(ingested):
    files = {path: text for path, text in iemocap().items() if "Session1/dialog/avi" not in path}
    del files["Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav"]
    rows, _, _ = ingested(files, "iemocap")
    assert rows["path"].iloc[0].endswith("Ses01F_impro01_F000.wav")
    assert rows["crop"].isna().tolist() == [True, True, False, False]
    assert rows["sound"].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize(("layout", "count"), [("ch-sims", 4), ("mosi", 5), ("mosei", 5)])
def test_scores_and_splits_of_mmsa_are_kept(ingested, layout, count):
    rows, labels, test = ingested(MINIATURES[layout](), layout, target="sentiment")
    assert len(rows) == count
    assert labels.classes == ("negative", "neutral", "positive")
    assert rows["split"].tolist().count("test") == 1 == len(test)
    assert test["target_sentiment"].iloc[0] > 0
    assert test["label"].iloc[0] == "positive"
    assert rows["target_sentiment"].notna().sum() == count - 1


def test_ids_of_mmsa_keep_their_zeros_and_groups_are_videos(ingested):
    rows, _, _ = ingested(MINIATURES["ch-sims"](), "ch-sims")
    assert rows.index[0] == "video_0001/0001"
    assert rows["group"].tolist() == ["video_0001", "video_0001", "video_0002", "video_0002"]


def test_zeros_that_a_spreadsheet_dropped_are_put_back_with_a_note(read_files):
    files = MINIATURES["ch-sims"]()
    files["label.csv"] = files["label.csv"].replace(",000", ",")
    corpus = read_files(files, layout="ch-sims")
    assert corpus.table.rows["clip_id"].iloc[0] == "video_0001/0001"
    assert corpus.notes.count("mended") == 4


def test_the_part_of_sims_v2_without_labels_is_unlabeled(ingested):
    rows, _, _ = ingested(MINIATURES["ch-sims-v2"](), "ch-sims-v2")
    assert rows["split"].value_counts().to_dict() == {"labeled": 3, "unlabeled": 2, "test": 1}
    assert rows["path"].iloc[-1] == "ch-simsv2u/Raw/aqgy9_0001/00001.mp4"


def test_crema_d_takes_the_video_and_where_there_is_none_the_sound(ingested):
    rows, labels, _ = ingested(crema_d(), "crema-d")
    assert rows["path"].tolist()[0] == "VideoFlash/1001_DFA_ANG_XX.flv"
    assert rows.loc["1040_ITH_SAD_X", "path"] == "AudioWAV/1040_ITH_SAD_X.wav"
    assert rows["group"].tolist() == ["1001", "1001", "1002", "1002", "1040"]
    assert labels.classes == ("anger", "disgust", "fear", "happy", "neutral", "sad")


def test_stubs_of_large_file_storage_are_called_by_their_name(read_files, tmp_path):
    stubs = {path: STUB for path in crema_d() if path.endswith(("flv", "wav", "mp3"))}
    with pytest.raises(MerError, match=r"all 10 files are stubs of git-lfs \(VideoFlash/.*git lfs pull"):
        read_files(stubs, layout="crema-d")


def test_one_stub_gives_way_to_the_file_that_is_there(read_files):
    corpus = read_files(crema_d() | {"VideoFlash/1001_DFA_ANG_XX.flv": STUB}, layout="crema-d")
    assert corpus.table.rows["path"].iloc[0] == "AudioWAV/1001_DFA_ANG_XX.wav"
    assert corpus.notes.found["unreadable"] == [
        "VideoFlash/1001_DFA_ANG_XX.flv (a stub of git-lfs: run `git lfs pull`)"
    ]


def test_ravdess_takes_speech_with_picture_and_counts_voices(read_files):
    corpus = read_files(MINIATURES["ravdess"](), layout="ravdess")
    rows = corpus.table.rows
    assert rows["clip_id"].tolist() == ["01-01-01-01-01-01-01", "01-01-06-01-02-01-12"]
    assert rows["group"].tolist() == ["01", "12"]
    assert rows["transcript"].iloc[1] == "Dogs are sitting by the door"
    assert corpus.notes.about == ["2 actors: 1 male, 1 female"]
    assert corpus.notes.count("passed over") == 3


def test_ravdess_without_videos_is_read_by_ear(read_files):
    corpus = read_files({"Actor_07/03-01-05-02-01-02-07.wav": ""}, layout="ravdess")
    assert corpus.table.rows["label"].tolist() == ["angry"]


def test_mead_pairs_the_front_with_its_sound(ingested):
    rows, _, _ = ingested(mead(), "mead")
    assert rows["sound"].iloc[0] == "M003/audio/angry/level_1/001.m4a"
    assert rows["sound"].isna().sum() == 1
    assert rows["sound_sha256"].notna().sum() == 0  # empty files have no digest: decoding says so
    assert set(rows["group"]) == {"M003", "W009"}


def test_meld_names_the_clips_that_are_known_to_be_broken(read_files, caplog):
    with caplog.at_level(logging.WARNING):
        notes = read_files(meld(), layout="meld").notes
    assert notes.found["broken"] == ["train_dia125_utt3 does not open"]
    assert notes.found["missing"] == ["dev_dia110_utt7 (known)"]
    assert notes.found["extra"] == ["dev_splits_complete/dia66_utt9.mp4"]


def test_emobox_keeps_folds_and_takes_its_label_map_with_its_slips(ingested):
    rows, labels, _ = ingested(emobox(), "emobox")
    assert rows[CORPUS_FOLD].tolist() == ["1", "1", "1", "2", "2", "3", "3"]
    assert labels.classes == ("Angry", "Boredom", "Disgust", "Fear", "Happy", "Neutral", "Sad")
    assert rows.loc["03a01Nc", "label"] == "Neutral"  # its map has a capital N where its lists have none
    assert rows["group"].tolist() == ["03", "03", "03", "08", "08", "16", "16"]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_emobox_finds_recordings_that_lie_nearer(read_files, cut):
    files = emobox()
    moved = {
        "/".join(path.split("/")[cut:]) if path.startswith("downloads") else path: text for path, text in files.items()
    }
    assert len(read_files(moved, layout="emobox").table.rows) == 7


def test_one_fold_of_emobox_is_a_split_into_training_and_test(read_files):
    files = {path: text for path, text in emobox().items() if "fold_2" not in path and "fold_3" not in path}
    rows = read_files(files, layout="emobox").table.rows
    assert rows["split"].value_counts().to_dict() == {"labeled": 4, "test": 3}
    assert CORPUS_FOLD not in rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 1: not JSON"),
        ("[1]", "line 1: not an object"),
        ('{"key": "a", "wav": "a.wav"}', "line 1: no 'emo'"),
        ('{"key": "a", "wav": "a.wav", "emo": "sad", "start_time": 2, "end_time": 1}', "ends at 1 s, where it starts"),
        ('{"key": "a", "wav": "a.wav", "emo": "sad", "start_time": "x"}', "start_time 'x' is no time in seconds"),
        ('{"key": "emodb-03a01Fa", "wav": "b.wav", "emo": "sad"}', "another recording or emotion than in"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(read_files, line, message):
    with pytest.raises(MerError, match=message) as raised:
        read_files(emobox() | {"data/emodb/fold_1/emodb_train_fold_1.jsonl": line + "\n"}, layout="emobox")
    assert "emodb_train_fold_1.jsonl line 1" in str(raised.value)


def test_labels_without_files_and_files_without_labels_are_counted(read_files):
    files = mosi()
    del files["Raw/03bSnISJMiM/1.mp4"]
    corpus = read_files(files | {"Raw/03bSnISJMiM/99.mp4": ""}, layout="mosi")
    assert corpus.notes.found["missing"] == ["03bSnISJMiM/1"]
    assert corpus.notes.found["extra"] == ["Raw/03bSnISJMiM/99.mp4"]
    assert corpus.table.rows["split"].iloc[-1] == "unlabeled"


def test_what_is_in_no_known_layout_says_what_lies_there(tmp_path):
    write_files(tmp_path, {"notes.txt": "", "clips/a.mp4": ""})
    with pytest.raises(MerError, match=r"in no layout that is known \(there lies: clips, notes.txt\)"):
        read_corpus(CorpusParams(root=str(tmp_path), layout="auto"))


def test_params_may_name_any_of_these_layouts():
    assert {Params.model_validate({"corpus": {"layout": name}}).corpus.layout for name in LAYOUTS} == set(LAYOUTS)
