"""`mer corpus`: one screen that says what a corpus holds, and loses nothing."""

from __future__ import annotations

import sys

import pytest
import yaml

from mer import cli
from mer.layouts.notes import KINDS, Notes
from tests.layouts.conftest import write_files
from tests.layouts.miniatures import STUB, crema_d, folder, iemocap, meld


@pytest.fixture
def screen(tmp_path, monkeypatch, capsys):
    """What `mer corpus` prints of a corpus made of these files."""

    def run(files, *options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
        write_files(tmp_path / "corpus", files)
        monkeypatch.setattr(sys, "argv", ["mer", "corpus", *options])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return capsys.readouterr().out if not left.value.code else str(left.value.code)

    return run


def test_counts_come_by_split_and_label_with_groups_and_all_that_is_odd(screen):
    said = screen(meld(), "--check", "--root", "corpus").splitlines()
    assert said[0] == "corpus: 4 clips, layout auto"
    assert said[1] == "recognised as meld by train_sent_emo.csv"
    counts = {line.split()[0]: line.split()[1:] for line in said if line}
    assert counts["label"] == ["labeled", "test", "unlabeled"]
    assert counts["surprise"] == counts["neutral"] == counts["joy"] == ["1", "-", "-"]
    assert counts["anger"] == ["-", "1", "-"]
    assert counts["all"] == ["3", "1", "-"]
    text = "\n".join(said)
    assert "groups: 4, of 1 to 1 clips" in text
    assert "1 labels without a file: dev_dia110_utt7 (known)" in text
    assert "1 files without a label: dev_splits_complete/dia66_utt9.mp4" in text
    assert "1 clips that the corpus is known to have broken: train_dia125_utt3 does not open" in text
    assert "4 files that cannot be read: train_splits/dia0_utt0.mp4 (the file has no bytes)" in text


def test_copies_and_stubs_are_found_by_looking_at_every_file(screen):
    files = {path: path for path in folder() if not path.endswith("csv")} | {"labels.csv": folder()["labels.csv"]}
    said = screen(files | {"b.wav": "a.mp4", "c.mkv": STUB}, "--check", "--root", "corpus")
    assert "1 named twice: b.wav has the bytes of a.mp4" in said
    assert "1 files that cannot be read: c.mkv (a stub of git-lfs" in said
    quick = screen(files, "--root", "corpus")
    assert "cannot be read" not in quick
    assert "every file can be read" not in quick


def test_segments_halves_folds_and_dropped_clips_are_told(screen):
    said = screen(iemocap(), "--root", "corpus")
    for line in (
        "folds of its own: Session1 (2), Session2 (2)",
        "segments: 4 in 2 files",
        "halves of the picture: 2 left, 2 right",
        "sound in a file of its own: 4 clips",
        "transcripts: 4 clips",
    ):
        assert line in said
    assert "4 clips dropped by the label map" in said


def test_params_say_which_corpus_and_how(screen, tmp_path):
    params = {"corpus": {"root": "corpus", "layout": "crema-d", "label_map": {"SAD": None}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    said = screen(crema_d())
    assert said.startswith("corpus: 3 clips, layout crema-d")
    assert "2 clips dropped by the label map: 1002_IEO_SAD_LO (SAD), 1040_ITH_SAD_X (SAD)" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--root", "nowhere"), "error: corpus.root: there is no folder 'nowhere'"),
        (("--root", "corpus", "--layout", "mer2042"), "error: mer corpus: 'corpus.layout': Input should be"),
        (("--root", "corpus", "--layout", "meld"), "error: corpus/test_sent_emo.csv: No such file"),
    ],
)
def test_what_cannot_be_read_is_one_line(screen, options, message):
    files = {path: text for path, text in meld().items() if path != "test_sent_emo.csv"}
    said = screen(files, *options)
    assert said.startswith(message)
    assert "\n" not in said


def test_a_kind_that_is_not_known_is_no_note():
    notes = Notes()
    with pytest.raises(ValueError, match="unknown kind"):
        notes.add("lost", "a")
    for kind in KINDS:
        notes.add(kind, "a")
    assert len(list(notes.lines())) == len(KINDS)
