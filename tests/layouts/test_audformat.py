"""A database in audformat, written by its own package; and EmoDB in three forms, which is one corpus."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pandas as pd
import pytest

from mer.errors import MerError
from mer.layouts import read_corpus
from mer.params import CorpusParams
from tests.layouts.conftest import write_files
from tests.layouts.miniatures import EMODB, emobox_lists

audformat = pytest.importorskip("audformat", reason="the extra 'audformat' is not installed")
SHARED = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
OURS = {
    "Angry": "anger",
    "Boredom": "boredom",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
}


def save(root: Path, names, *, split: bool = False, kind: str = "csv") -> Path:
    """EmoDB as audEERING publishes it: speakers are numbers, and a file of its own holds the emotions."""
    root.mkdir(parents=True, exist_ok=True)
    database = audformat.Database("emodb")
    database.schemes["emotion"] = audformat.Scheme(labels=list(EMOTIONS.values()))
    database.schemes["speaker"] = audformat.Scheme("int")
    database.schemes["valence"] = audformat.Scheme("float")
    files = [f"wav/{name}.wav" for name in names]
    database["files"] = audformat.Table(audformat.filewise_index(files))
    database["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    database["files"]["speaker"].set([int(name[:2]) for name in names])
    halves = {"train": names[::2], "test": names[1::2]} if split else {"": names}
    for half, of in halves.items():
        if half:
            database.splits[half] = audformat.Split(half)
        table = f"emotion.{half}" if half else "emotion"
        index = audformat.filewise_index([f"wav/{name}.wav" for name in of])
        database[table] = audformat.Table(index, split_id=half or None)
        database[table]["emotion"] = audformat.Column(scheme_id="emotion")
        database[table]["emotion"].set([EMOTIONS[name[5]] for name in of])
        database[table]["valence"] = audformat.Column(scheme_id="valence")
        database[table]["valence"].set([float(len(name)) for name in of])
    database.save(str(root), storage_format=kind)
    return root


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_database_is_read_and_recognised(tmp_path, kind):
    root = save(write_files(tmp_path, {f"wav/{name}.wav": "" for name in EMODB}), EMODB, kind=kind)
    corpus = read_corpus(CorpusParams(root=str(root), layout="auto", target="valence"))
    rows = corpus.table.rows
    assert corpus.notes.about == ["recognised as audformat by db.yaml"]
    assert rows["clip_id"].tolist() == sorted(EMODB)
    assert rows["label"].tolist() == [EMOTIONS[name[5]] for name in sorted(EMODB)]
    assert rows["group"].tolist() == [name[:2] for name in sorted(EMODB)]
    assert rows["target_valence"].tolist() == [7.0] * 7


def test_the_splits_of_a_database_are_kept(tmp_path):
    root = save(write_files(tmp_path, {f"wav/{name}.wav": "" for name in EMODB}), list(EMODB), split=True)
    corpus = read_corpus(CorpusParams(root=str(root), layout="audformat"))
    tested = corpus.table.rows.loc[corpus.table.rows["split"] == "test", "clip_id"]
    assert sorted(tested) == sorted(EMODB[1::2])
    assert len(corpus.test_labels) == len(EMODB[1::2])


def test_segments_of_a_database_are_parts_of_files(tmp_path):
    root = write_files(tmp_path, {"a.wav": "", "b.wav": ""})
    database = audformat.Database("db")
    database.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad"])
    index = audformat.segmented_index(["a.wav", "a.wav", "b.wav"], ["0s", "1.5s", "0s"], ["1.5s", "3s", pd.NaT])
    database["segments"] = audformat.Table(index)
    database["segments"]["emotion"] = audformat.Column(scheme_id="emotion")
    database["segments"]["emotion"].set(["happy", "sad", "happy"])
    database.save(str(root))
    rows = read_corpus(CorpusParams(root=str(root), layout="audformat")).table.rows
    assert rows["clip_id"].tolist() == ["a_0.000-1.500", "a_1.500-3.000", "b"]
    assert rows["start"].fillna(-1).tolist() == [0.0, 1.5, -1]
    assert rows["end"].fillna(-1).tolist() == [1.5, 3.0, -1]


def test_no_pickle_and_no_object_of_the_header_is_opened(tmp_path):
    root = save(write_files(tmp_path, {f"wav/{name}.wav": "" for name in EMODB}), EMODB)
    for pickled in root.glob("*.pkl"):
        pickled.unlink()
    (root / "db.emotion.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    assert len(read_corpus(CorpusParams(root=str(root), layout="audformat")).table.rows) == 7
    (root / "db.emotion.csv").unlink()
    with pytest.raises(MerError, match=r"db.emotion.csv: no such file, nor .parquet; its pickle is not opened"):
        read_corpus(CorpusParams(root=str(root), layout="audformat"))
    header = root / "db.yaml"
    header.write_text(header.read_text() + "meta: !!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(MerError, match=r"no db.yaml or header.yaml|db.yaml"):
        read_corpus(CorpusParams(root=str(root), layout="audformat"))
    assert not Path("pwned").exists()


def three_forms(root: Path, names) -> list[pd.DataFrame]:
    """The tables of EmoDB by its names, by EmoBox's lists and by audformat's tables."""
    save(root, names)
    write_files(root, emobox_lists(list(names), folds=5))
    found = []
    for layout, label_map in (("emodb", None), ("emobox", OURS), ("audformat", None)):
        corpus = read_corpus(CorpusParams(root=str(root), layout=layout, label_map=label_map))
        assert sorted(corpus.table.classes) == sorted(EMOTIONS.values())
        columns = ["clip_id", "path", "split", "label", "group"]
        found.append(corpus.table.rows[columns].sort_values("clip_id", ignore_index=True))
    return found


def test_emodb_in_three_forms_gives_one_clip_table(tmp_path):
    root = write_files(tmp_path, {f"wav/{name}.wav": "" for name in EMODB})
    by_name, *others = three_forms(root, EMODB)
    for other in others:
        pd.testing.assert_frame_equal(by_name, other)


@pytest.mark.skipif(not (SHARED / "emodb").is_dir(), reason=f"no EmoDB at {SHARED / 'emodb'} (MER_SHARED_DATA)")
def test_all_of_emodb_in_three_forms_gives_one_clip_table(tmp_path):
    with open(SHARED / "emodb/clips.csv", newline="") as file:
        clips = list(csv.DictReader(file))
    (tmp_path / "wav").mkdir()
    for clip in clips:
        (tmp_path / f"wav/{clip['clip_id']}.wav").symlink_to(SHARED / f"emodb/audio/{clip['clip_id']}.flac")
    by_name, *others = three_forms(tmp_path, [clip["clip_id"] for clip in clips])
    for other in others:
        pd.testing.assert_frame_equal(by_name, other)
    assert by_name["label"].tolist() == [clip["label"] for clip in sorted(clips, key=lambda clip: clip["clip_id"])]
    assert by_name["group"].tolist() == [clip["speaker"] for clip in sorted(clips, key=lambda clip: clip["clip_id"])]
