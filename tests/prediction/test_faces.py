"""`--faces all`: every face with its boxes and times, and who of them speaks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import FaceCrops
from mer.errors import MerError
from mer.params import CropParams
from mer.prediction import face_table
from mer.prediction.answer import Estimate, Prediction
from mer.prediction.face_table import faces_to_table, row_of, write_faces
from mer.prediction.faces import Face, predict_faces
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.speaking import RATE, correlation, levels, motion, wanted_times, who_speaks

SOUND = 16000


def two_faces() -> list[np.ndarray]:
    """The astronaut twice side by side in four frames; the one to the right is there in the last two alone."""
    face = pytest.importorskip("skimage.data").astronaut()[:256, 96:352]
    frames = []
    for i in range(4):
        frame = np.full((300, 620, 3), 90, np.uint8)
        frame[20:276, 10 + i : 266 + i] = face
        if i >= 2:
            frame[20:276, 350:606] = face
        frames.append(frame)
    return frames


def test_every_face_is_followed_and_the_most_prominent_comes_first() -> None:
    cropper = FaceCropper(CropParams())
    found = cropper.crop_all(two_faces(), [0.0, 1.0, 2.0, 3.0])
    left, right = found[0], next(one for one in found[1:] if one.boxes[:, 0].min() > 350)
    assert left.timestamps.tolist() == [0, 1, 2, 3]
    assert right.timestamps.tolist() == [2, 3]
    assert left.boxes[:, 2].max() < 300
    assert left.crops.shape[1:] == (112, 112, 3)
    main = cropper.crop(two_faces(), [0.0, 1.0, 2.0, 3.0])
    assert np.abs(main.boxes - left.boxes).max() < 12
    assert cropper.crop_all([np.zeros((80, 80, 3), np.uint8)], [0.0]) == []
    assert cropper.crop_all([], []) == []


def talk(
    speaks: int, seconds: float = 6.0, *, lively: bool = False
) -> tuple[list[np.ndarray], list[float], np.ndarray, list[FaceCrops]]:
    """Two drawn faces, of whom one moves its mouth with the sound and the other nods; a lively one moves its whole head
    as it speaks."""
    rng = np.random.default_rng(0)
    times = wanted_times(seconds)
    loud = (np.sin(2 * np.pi * 1.1 * np.array(times)) > 0).astype(float)
    waveform = np.repeat(loud, round(SOUND / RATE)) * rng.normal(size=len(times) * round(SOUND / RATE)) * 0.2
    texture = rng.integers(0, 255, (100, 80, 3)).astype(np.uint8)
    if lively:
        texture[60:] = 128  # so that of a nod the upper face shows more than the mouth
    frames = []
    for i, on in enumerate(loud):
        frame = np.full((150, 300, 3), 100, np.uint8)
        for face, left in enumerate((20, 180)):
            picture = texture.copy()
            if face == speaks and on:
                picture[70:90, 20:60] = (168 if lively else 255) * (i % 2) + lively * 128 * (1 - i % 2)
            nod = (lively and on) * (i % 2) * 4 if face == speaks else i % 3
            frame[20 + int(nod) : 120 + int(nod), left : left + 80] = picture
        frames.append(frame)
    ends = np.array([0.0, seconds])
    boxes = [np.tile(np.array([left, 20, left + 80, 120], np.float32), (2, 1)) for left in (20, 180)]
    crops = np.zeros((2, 16, 16, 3), np.uint8)
    faces = [FaceCrops(crops, box, np.ones(2, np.float32), ends, 2, 2) for box in boxes]
    return frames, times, waveform.astype(np.float32), faces


@pytest.mark.parametrize("speaks", [0, 1])
@pytest.mark.parametrize("lively", [False, True])
def test_the_face_whose_mouth_moves_with_the_sound_speaks(speaks: int, lively: bool) -> None:
    frames, times, waveform, faces = talk(speaks, lively=lively)
    sound = levels(waveform, times, SOUND)
    found = [correlation(motion(frames, times, face), sound) for face in faces]
    assert who_speaks(found) == speaks
    assert found[speaks] > 0.5
    assert abs(found[1 - speaks]) < 0.2


def test_how_silent_a_pause_is_says_nothing() -> None:
    """Digital silence in one pause, a room's noise in others."""
    waveform = np.tile(np.repeat([0.3, 1e-3], SOUND // 2), 3).astype(np.float32)
    waveform[SOUND // 2 : SOUND] = 0
    found = levels(waveform, [0.25, 0.75, 1.25, 1.75], SOUND)
    assert found == pytest.approx([found[0], found[0] - 40, found[0], found[0] - 40])
    assert levels(np.zeros(SOUND, np.float32), [], SOUND).tolist() == []


def test_who_speaks_is_not_guessed() -> None:
    assert who_speaks([]) is None
    assert who_speaks([0.1, -0.5]) is None
    assert correlation(np.zeros(50), np.arange(50.0)) == 0
    assert correlation(np.arange(3.0), np.arange(3.0)) == 0
    assert motion([], [], talk(0)[3][0]).tolist() == [0.0]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_of_faces(ending: str, tmp_path: Path) -> None:
    crops = talk(0)[3][0]
    prediction = Prediction("a.mp4", "sad", {"sad": 0.7, "happy": 0.3}, {"face": True}, faces=crops)
    out = tmp_path / f"faces.{ending}"
    write_faces(out, [row_of(out)(Face(0, prediction, 0.41, True))])
    if ending == "jsonl":
        [row] = [json.loads(line) for line in out.read_text().splitlines()]
        assert row["boxes"] == [[20, 20, 100, 120]] * 2
        assert (row["times"], row["speaks"], row["face"]) == ([0.0, 6.0], True, 0)
    if ending == "csv":
        assert out.read_text().splitlines()[0] == "path,face,speaks,correlation,label,p_sad,p_happy,times,boxes"
    with pytest.raises(MerError, match="the ending of a table of faces"):
        row_of(tmp_path / "faces.srt")


def test_a_table_of_faces_has_targets_where_there_are_no_classes(tmp_path: Path) -> None:
    targets = {"valence": Estimate(0.5, -0.5, 1.5)}
    face = Face(0, Prediction("a.mp4", None, {}, {"face": True}, targets=targets, faces=talk(0)[3][0]), 0.41, True)
    write_faces(tmp_path / "faces.csv", [row_of(tmp_path / "faces.csv")(face)])
    head, row = (tmp_path / "faces.csv").read_text().splitlines()
    assert head == "path,face,speaks,correlation,label,t_valence,t_valence_low,t_valence_high,times,boxes"
    assert row.startswith("a.mp4,0,True,0.41,,0.5,-0.5,1.5,")
    assert "valence 0.5 [-0.5, 1.5]" in str(face)
    assert face.as_dict()["targets"]["valence"]["high"] == 1.5


def test_a_bundle_that_looks_at_no_face_says_so(bundle: Path, silence: Path) -> None:
    with pytest.raises(MerError, match="this bundle looks at text alone"):
        predict_faces(Predictor(bundle), Source(str(silence), str(silence)))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_of_faces_that_was_ended_is_gone_on_with(
    ending: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clips are done, at the third Ctrl-C is pressed; the second run looks at the rest alone."""
    files = [tmp_path / f"{number}.mp4" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(bytes(number))
    sources, seen = [Source(str(file), str(file)) for file in files], list[str]()

    def predicted(predictor: Predictor, source: Source) -> list[Face]:
        seen.append(Path(source.file).name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        targets = {"valence": Estimate(0.1, -np.inf, np.inf)}
        prediction = Prediction(source.path, "sad", {"sad": 1 / 3}, {}, targets=targets, faces=talk(0)[3][0])
        return [Face(0, prediction, 1 / 7, None)] * (int(Path(source.file).stem) % 3)

    monkeypatch.setattr(face_table, "predict_faces", predicted)
    out, once = tmp_path / f"out.{ending}", tmp_path / f"once.{ending}"
    with pytest.raises(KeyboardInterrupt):
        list(faces_to_table(Predictor(bundle), sources, out))
    assert not out.exists()
    found = list(faces_to_table(Predictor(bundle), sources, out))
    assert [number for _, number in found] == [0, 1, 2, 0]
    assert seen == ["0.mp4", "1.mp4", "2.mp4", "2.mp4", "3.mp4"]
    list(faces_to_table(Predictor(bundle), sources, once))
    assert out.read_bytes() == once.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_a_table_of_faces_that_cannot_be_written_is_told_before_any_work(bundle: Path, tmp_path: Path) -> None:
    for out, told in ((tmp_path / "no/a.csv", "no file can be written in"), (tmp_path / "a.srt", "the ending of")):
        with pytest.raises(MerError, match=told):
            next(faces_to_table(Predictor(bundle), [Source("a.mp4", "a.mp4")], out))
