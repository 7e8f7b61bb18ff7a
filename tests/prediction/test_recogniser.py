"""What a recogniser hears, and what is kept where the machine fails it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mer.encoders.asr.transcript import Transcript, Word
from mer.encoders.face.cropper import FaceCropper
from mer.errors import ClipError
from mer.media import encode
from mer.params import ComputeParams
from mer.prediction import face_table, faces
from mer.prediction.answer import Prediction
from mer.prediction.extractor import Raw
from mer.prediction.face_table import faces_to_table
from mer.prediction.faces import Face, predict_faces
from mer.prediction.films import timelines_to_files
from mer.prediction.many import predict_to_table
from mer.prediction.naming import NOTES
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.utterances import Cutting
from tests.bundles import TEXTS
from tests.prediction.test_faces import talk

SAID = Transcript(TEXTS["sad"], (Word("我", 0.1, 0.2),))


class Recogniser:
    """Hears the same in every clip, or raises; counts the clips that it is given."""

    fingerprint = "a recogniser of tests"

    def __init__(self) -> None:
        self.hears: Transcript | Exception = SAID
        self.clips = 0

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[Transcript]:
        self.clips += len(batch)
        if isinstance(self.hears, Exception):
            raise self.hears
        return [self.hears] * len(batch)


def listening(bundle: Path) -> tuple[Predictor, Recogniser]:
    """A bundle whose recogniser is the tests'."""
    predictor, recogniser = Predictor(bundle).ready(), Recogniser()
    predictor.extractor.transcriber = recogniser
    return predictor, recogniser


@pytest.fixture
def noise(tmp_path: Path) -> Source:
    file = tmp_path / "noise.wav"
    soundfile.write(file, 0.1 * np.random.default_rng(0).normal(size=16000).astype(np.float32), 16000)
    return Source(str(file), str(file))


MACHINE = [MemoryError(), OSError(28, "No space left on device"), RuntimeError("can't allocate memory")]


@pytest.mark.parametrize("error", MACHINE)
@pytest.mark.parametrize("which", ["bundle", "group_bundle"])
def test_a_file_at_which_the_machine_failed_the_recogniser_is_done_again(
    which: str, error: Exception, request: pytest.FixtureRequest, noise: Source, tmp_path: Path
) -> None:
    predictor, recogniser = listening(request.getfixturevalue(which))
    recogniser.hears = error
    out = tmp_path / "out.jsonl"
    [failed] = predict_to_table(predictor, [noise], out, ComputeParams(workers=1))
    assert failed.transient
    assert any(note.startswith("transcribe: ") for note in failed.notes)
    recogniser.hears = SAID
    [done] = predict_to_table(predictor, [noise], out, ComputeParams(workers=1))
    assert (done.label, done.source, done.transient) == ("sad", "asr", False)
    assert json.loads(out.read_text())["transcript"] == SAID.text
    assert list(predict_to_table(predictor, [noise], out, ComputeParams(workers=1))) == []


def test_what_the_clip_is_to_blame_for_is_no_fault_of_the_machine(bundle: Path, noise: Source, tmp_path: Path) -> None:
    predictor, recogniser = listening(bundle)
    recogniser.hears = ClipError("no speech that it could follow")
    out = tmp_path / "out.csv"
    [failed] = predict_to_table(predictor, [noise], out, ComputeParams(workers=1))
    assert (failed.transient, failed.notes) == (False, ("transcribe: no speech that it could follow",))
    assert list(predict_to_table(predictor, [noise], out, ComputeParams(workers=1))) == []


def test_recognised_text_that_was_left_out_is_told(bundle: Path, noise: Source, tmp_path: Path) -> None:
    predictor, recogniser = listening(bundle)
    recogniser.hears = Transcript("", left_out=1)
    [found] = predict_to_table(predictor, [noise], tmp_path / "out.csv", ComputeParams(workers=1))
    assert found.notes[0].startswith("transcribe: the recogniser's text of 1 window was left out")


@pytest.mark.parametrize("part", ["recogniser", "encoder"])
def test_a_film_in_which_the_machine_failed_is_written_and_not_finished(
    part: str, bundle: Path, noise: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, recogniser = listening(bundle)

    def run() -> object:
        [(_, found)] = timelines_to_files(predictor, [noise], [tmp_path / "{name}.csv"], Cutting(window=0.5))
        return found

    def broken(batch: object) -> object:
        raise MemoryError

    with monkeypatch.context() as patch:
        owner, name = {
            "recogniser": (recogniser, "transcribe"),
            "encoder": (predictor.extractor.encoders["text"], "encode"),
        }[part]
        patch.setattr(owner, name, broken)
        assert all(one.prediction.transient for one in run())  # type: ignore[attr-defined]
    assert (tmp_path / "noise.csv").exists()
    assert (tmp_path / NOTES).read_bytes() == b""
    assert [one.label for one in run()] == ["sad", "sad"]  # type: ignore[attr-defined]
    assert run() is None


def test_a_clip_whose_faces_the_machine_failed_is_done_again_and_no_other(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def predicted(predictor: Predictor, source: Source) -> list[Face]:
        seen.append(source.path[-5:])
        broken = source.path.endswith("b.mp4") and seen.count("b.mp4") == 1
        prediction = Prediction(source.path, "sad", {"sad": 1.0}, {}, faces=talk(0)[3][0], transient=broken)
        return [Face(0, prediction, 0.5, True)]

    monkeypatch.setattr(face_table, "predict_faces", predicted)
    sources = [Source(str(tmp_path / name), str(tmp_path / name)) for name in ("a.mp4", "b.mp4")]
    for source in sources:
        Path(source.file).touch()
    out = tmp_path / "faces.csv"
    assert [number for _, number in faces_to_table(Predictor(bundle), sources, out)] == [1, 1]
    assert "1 clips met a fault of the machine" in capsys.readouterr().err
    assert [number for _, number in faces_to_table(Predictor(bundle), sources, out)] == [1, 1]
    assert seen == ["a.mp4", "b.mp4", "b.mp4"]
    assert capsys.readouterr().err == ""
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "heard", [SAID, Transcript(""), MemoryError(), ClipError("too fast")], ids=["text", "silence", "machine", "clip"]
)
def test_the_faces_of_a_clip_are_told_what_is_said_in_it_by_one_recognition(
    heard: Transcript | Exception, bundle: Path, noise: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, recogniser = listening(bundle)
    recogniser.hears = heard
    monkeypatch.setattr(Predictor, "modalities", ("face", "text"))
    monkeypatch.setattr(FaceCropper, "crop_all", lambda *_: talk(0)[3])
    monkeypatch.setattr(faces, "_correlations", lambda *_: [0.5, 0.1])
    found = [one.prediction for one in predict_faces(predictor, noise)]
    assert (len(found), recogniser.clips) == (2, 1)
    said = heard if isinstance(heard, Transcript) else Transcript("")
    for one in found:
        assert (one.transcript, one.words, one.source) == (said.text, said.words, "asr" if said.text else "none")
        assert one.transient == isinstance(heard, MemoryError)
        assert [note.split(":")[0] for note in one.notes] == ["transcribe"] * isinstance(heard, Exception)
    [given, _] = predict_faces(predictor, replace(noise, transcript=TEXTS["happy"]))
    assert (given.prediction.label, given.prediction.source, recogniser.clips) == ("happy", "given", 1)


def test_clips_of_different_sound_are_recognised_each(bundle: Path) -> None:
    predictor, recogniser = listening(bundle)
    sounds = [encode.flac(np.full(800, level, np.float32)) for level in (0.1, 0.2, 0.1)]
    found = predictor.extractor([*(Raw(sound, None, 0.05) for sound in sounds), Raw(None, None, 0.05)])
    assert recogniser.clips == 2
    assert [one.source for one in found] == ["asr", "asr", "asr", "none"]
