"""A trained bundle on new clips: the features of training, one line of mistake for what cannot be used."""

from __future__ import annotations

import doctest
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import mer
from mer.about import tell
from mer.cli import app
from mer.encoders.base import Features
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import MerError
from mer.media.sandbox import Sandbox
from mer.params import CropParams, Params, TextParams, origin
from mer.prediction import predictor
from mer.prediction.predictor import Predictor
from mer.provenance import Provenance, read_provenance, save_bundle
from mer.self_training.bundle_reading import load_bundle
from tests.bundles import TEXTS, write_manifests


@pytest.mark.parametrize("label", TEXTS)
def test_a_clip_gets_the_label_of_what_is_said(bundle: Path, silence: Path, label: str) -> None:
    prediction = Predictor(bundle).predict(silence, [TEXTS[label]])[0]
    assert prediction.label == label
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.modalities == {"text": True}


def test_a_prediction_is_a_line_of_json(bundle: Path, silence: Path) -> None:
    values = json.loads(json.dumps(Predictor(bundle).predict(silence, [TEXTS["sad"]])[0].as_dict(), ensure_ascii=False))
    assert values["label"] == "sad"
    assert set(values["probabilities"]) == set(TEXTS)
    assert "error" not in values


def test_a_view_that_was_made_of_a_part_is_told(bundle: Path, silence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = TfidfTextEncoder.encode

    def cut(self: TfidfTextEncoder, batch: Sequence[str]) -> list[Features]:
        return [replace(of, note="only the first 3 tokens") for of in encode(self, batch)]

    monkeypatch.setattr(TfidfTextEncoder, "encode", cut)
    (found,) = Predictor(bundle).predict(silence, [TEXTS["sad"]])
    assert found.label == "sad"
    assert found.as_dict()["notes"][-1:] == ["text: only the first 3 tokens"]
    assert "text" not in found.absent


def test_a_bundle_tells_what_it_learned_from_and_how_good_it_was(bundle: Path) -> None:
    told = CliRunner().invoke(app, ["show", "--bundle", str(bundle)]).output
    assert "corpus     sample/corpus, layout mer2024 (synthetic: made by a program)" in told
    assert "27 labeled" in told
    assert "classes    happy, sad, angry" in told
    assert "text       tfidf" in told
    assert "out of fold weighted-F1 1.000 [1.000, 1.000] (95 % interval, 27 clips)" in told


def test_a_bundle_of_synthetic_clips_warns_and_one_of_real_clips_does_not(
    bundle: Path, silence: Path, tmp_path: Path
) -> None:
    arguments = ["predict", "--json", "--transcript", TEXTS["sad"], str(silence), "--bundle"]
    warned = CliRunner().invoke(app, [*arguments, str(bundle)])
    assert "learned from synthetic clips (sample/corpus)" in warned.stderr
    assert json.loads(warned.stdout)["label"] == "sad"
    real = shutil.copytree(bundle, tmp_path / "real")
    about = json.loads((real / "bundle.json").read_text())
    about["extra"]["about"]["synthetic"] = False
    (real / "bundle.json").write_text(json.dumps(about))
    assert Predictor(real).warning is None
    del about["extra"]["about"]
    (real / "bundle.json").write_text(json.dumps(about))
    assert Predictor(real).warning is None
    with pytest.raises(MerError, match="does not say what it learned from"):
        tell(real)


def test_a_clip_without_any_modality_is_told_from_a_prediction(bundle: Path, silence: Path) -> None:
    prediction = Predictor(bundle).predict(silence)[0]
    assert prediction.label is None
    assert "text: empty text" in str(prediction)


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_a_file_that_does_not_decode_gives_a_line_and_no_label(bundle: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    prediction = Predictor(bundle).predict(tmp_path / "broken.mp4", ["太好了"])[0]
    assert prediction.label is None
    assert prediction.error
    assert "\n" not in str(prediction)


def test_another_encoder_than_in_training_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    TfidfTextEncoder.fit(["something else"], TextParams()).save(copy / "text")
    with pytest.raises(MerError, match="text encoder is not the one"):
        Predictor(copy).ready()


def test_a_refusal_names_both_encoders_and_says_how_to_point_to_the_right_one(bundle: Path, tmp_path: Path) -> None:
    then = json.loads((bundle / "bundle.json").read_text())["extra"]["made"]["text"]["fingerprint"]
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    other = TfidfTextEncoder.fit(["something else"], TextParams())
    other.save(copy / "text")
    with pytest.raises(MerError) as raised:
        Predictor(copy).ready()
    assert then[:12] in str(raised.value)
    assert other.fingerprint[:12] in str(raised.value)
    assert "--weights text=PATH" in str(raised.value)


def test_what_lies_on_disk_when_a_bundle_is_saved_does_not_count(bundle: Path, tmp_path: Path) -> None:
    """The features came from one encoder; by the time of saving, another lies where it lay."""
    data, params = tmp_path / "data", Predictor(bundle).params
    write_manifests(data, params, "made by the first")
    TfidfTextEncoder.fit(["the second"], TextParams()).save(data / "features/text/encoder")
    save_bundle(tmp_path / "saved", load_bundle(bundle), params, data)
    with pytest.raises(MerError, match="made by the "):
        Predictor(tmp_path / "saved").ready()


def test_features_of_other_params_are_refused_with_the_stage_to_run(bundle: Path, tmp_path: Path) -> None:
    params = Predictor(bundle).params
    write_manifests(tmp_path, params, "made")
    changed = params.model_copy(update={"views": {"text": TextParams(dimensions=7)}})
    with pytest.raises(MerError, match=r"views\.text\.dimensions = 6, but params say 7; run `dvc repro extract@text`"):
        save_bundle(tmp_path / "saved", load_bundle(bundle), changed, tmp_path)


def test_weights_are_found_from_any_folder_and_may_have_moved(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "models/hubert").mkdir(parents=True)
    made = {"text": {"fingerprint": "f", "name": "tfidf", "compatible": ""}}
    views = {"speech": {"modality": "audio", "model": "models/hubert"}}
    extra = {"extraction": {"views": views}, "made": made, "here": "../.."}
    folder = project / "data/bundle"
    monkeypatch.chdir(tmp_path)
    assert Path(origin(read_provenance(extra, folder, {}).params.views["speech"])) == project / "models/hubert"
    assert origin(read_provenance(extra, folder, {"speech": "/elsewhere"}).params.views["speech"]) == "/elsewhere"
    with pytest.raises(MerError, match=r"--weights sound=\.\.\.: is none of speech, detector, asr"):
        read_provenance(extra, folder, {"sound": "x"})


@pytest.mark.parametrize("lost", ["made", "here", "extraction"])
def test_a_bundle_that_does_not_say_what_made_its_features_is_refused_in_one_line(lost: str, tmp_path: Path) -> None:
    extra = {"extraction": {"views": {"text": {}}}, "made": {}, "here": "."}
    del extra[lost]
    with pytest.raises(MerError, match="saved by an earlier version; train it again"):
        read_provenance(extra, tmp_path, {})


def test_another_version_of_opencv_that_computes_the_same_is_no_other_cropper(monkeypatch: pytest.MonkeyPatch) -> None:
    from mer.encoders.face import cropper, haar

    now = FaceCropper(CropParams())
    made = {"fingerprint": now.fingerprint, "name": "haar", "compatible": now.compatible}
    monkeypatch.setattr(haar.HaarDetector, "fingerprint", now._detector.fingerprint.replace(cv2.__version__, "9.9.9"))
    monkeypatch.setattr(cropper.cv2, "__version__", "9.9.9")
    later = FaceCropper(CropParams())
    assert later.fingerprint != now.fingerprint
    Provenance(Path("bundle"), Params(), {"face_crops": made}).check("face_crops", later)
    other = FaceCropper(CropParams(crop_size=64))
    with pytest.raises(MerError, match="the face_crops encoder is not the one"):
        Provenance(Path("bundle"), Params(), {"face_crops": made}).check("face_crops", other)


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerError, match=str(tmp_path)):
        Predictor(tmp_path)


def test_the_example_of_the_docstring_runs(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bundle, tmp_path / "data/models/bundle")
    soundfile.write(tmp_path / "clip.wav", np.zeros(16000, np.float32), 16000)
    monkeypatch.chdir(tmp_path)
    for module in (mer, predictor):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert not found.failed


def test_a_bundle_loads_without_what_only_training_or_decoding_needs(bundle: Path) -> None:
    """In a process of its own; encoders come with the first prediction."""
    heavy = ("dvc", "sklearn", "pandas", "pyarrow", "scipy", "transformers", "cv2", "av")
    code = f"""
import sys
from mer import load_bundle
assert not set(sys.modules) & {{'torch', *{heavy!r}}}, 'import mer'
print(load_bundle({str(bundle)!r}).classes)
print([name for name in {heavy!r} if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == ["('happy', 'sad', 'angry')", "[]"]


def test_what_each_expert_and_modality_says_is_told_beside_the_vote(bundle: Path, silence: Path) -> None:
    [prediction] = Predictor(bundle).predict([silence], [TEXTS["sad"]])
    assert set(prediction.by_modality) == {"text"}
    assert "logistic-plain fused" in prediction.experts
    for own in (*prediction.by_modality.values(), *prediction.experts.values()):
        assert sum(own.values()) == pytest.approx(1, abs=1e-5)
        assert max(own, key=own.__getitem__) == "sad"
    assert prediction.transcript == TEXTS["sad"]
    assert prediction.source == "given"
    assert prediction.seconds == pytest.approx(1.0)


def test_a_file_gets_the_same_bits_whatever_its_company(bundle: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.wav" for i in range(5)]
    for file in files:
        soundfile.write(file, np.zeros(1600, np.float32), 16000)
    texts = [*TEXTS.values(), "太好了出去", "难过开心"]
    predictor = Predictor(bundle)
    together = predictor.predict(files, texts)
    alone = [predictor.predict([file], [text])[0] for file, text in zip(files, texts, strict=True)]
    backwards = predictor.predict(files[::-1], texts[::-1])[::-1]
    assert [one.probabilities for one in together] == [one.probabilities for one in alone]
    assert [one.probabilities for one in together] == [one.probabilities for one in backwards]


def test_as_many_transcripts_as_files_are_needed(bundle: Path, silence: Path) -> None:
    with pytest.raises(MerError, match="2 transcripts for 1 files"):
        Predictor(bundle).predict([silence], ["a", "b"])


def test_a_file_that_somebody_writes_is_told_and_tried_again(
    bundle: Path, silence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Sandbox.decode

    def written_meanwhile(self: Sandbox, path: str) -> dict[str, object]:
        found = decode(self, path)
        with open(path, "ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(Sandbox, "decode", written_meanwhile)
    [prediction] = Predictor(bundle).predict([silence], ["太好了"])
    assert "changed while it was read" in str(prediction.error)
    assert prediction.transient
