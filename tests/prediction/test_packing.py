"""Bundles that travel: the same predictions elsewhere, whole files or none, and no trust in what strangers pack."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from mer import load_bundle
from mer.cli import app
from mer.errors import MerError
from mer.params import FaceParams, origin
from mer.prediction.packing import pack, unpack
from mer.provenance import needed_weights, read_provenance
from mer.self_training.bundle_reading import load_bundle as load_classifier
from tests.bundles import TEXTS


def mer(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["bundle", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_bundle_predicts_the_same_packed_and_unpacked(bundle: Path, silence: Path, tmp_path: Path) -> None:
    assert "MiB" in mer("pack", tmp_path / "b.mer", "--bundle", bundle)
    mer("unpack", tmp_path / "b.mer", tmp_path / "there/b")
    here, there, packed = (
        load_bundle(path).predict([silence], [TEXTS["sad"]])
        for path in (bundle, tmp_path / "there/b", tmp_path / "b.mer")
    )
    assert here == there == packed
    assert mer("show", tmp_path / "b.mer") == mer("show", bundle)
    assert "27 labeled" in mer("show", bundle)


def test_the_same_bundle_packs_to_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = shutil.copytree(bundle, tmp_path / "again")
    (again / "bundle.json").touch()
    for folder, name in ((bundle, "a"), (again, "b")):
        pack(folder, tmp_path / name, with_encoders=False, weights={})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def saying(bundle: Path, folder: Path, **text: object) -> Path:
    """The bundle, with other parameters of its text view."""
    shutil.copytree(bundle, folder, dirs_exist_ok=True)
    about = json.loads((folder / "bundle.json").read_text())
    about["extra"]["extraction"]["views"]["text"].update(text)
    (folder / "bundle.json").write_text(json.dumps(about))
    return folder


def test_weights_that_travel_with_a_bundle_are_found_in_it(bundle: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    (encoder / "model.safetensors").write_bytes(b"weights")
    folder = saying(bundle, tmp_path / "b", encoder=str(encoder))
    assert pack(folder, tmp_path / "b.mer", with_encoders=True, weights={}) == ["text"]
    unpack(tmp_path / "b.mer", tmp_path / "there")
    shutil.rmtree(encoder)
    made = read_provenance(load_classifier(tmp_path / "there").extra, tmp_path / "there", {})
    assert origin(made.params.views["text"]) == str(tmp_path / "there/weights/text")
    assert (tmp_path / "there/weights/text/model.safetensors").read_bytes() == b"weights"
    assert "weights    text: in the bundle" in mer("show", tmp_path / "b.mer")
    assert "missing: not at" in mer("show", folder)
    made = read_provenance(load_classifier(tmp_path / "there").extra, tmp_path / "there", {"text": "/own"})
    assert origin(made.params.views["text"]) == "/own"


def test_weights_of_one_file_are_found_as_that_file(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "b/weights/detector").mkdir(parents=True)
    (tmp_path / "b/weights/detector/yunet.onnx").write_bytes(b"net")
    folder = saying(bundle, tmp_path / "b")
    made = read_provenance(load_classifier(folder).extra, folder, {})
    assert made.params.faces.detector_model == str(folder / "weights/detector/yunet.onnx")
    faces = made.params.model_copy(update={"views": {"face": FaceParams()}})
    assert needed_weights(faces) == {"detector": folder / "weights/detector/yunet.onnx"}


def test_weights_that_are_not_there_are_named(bundle: Path, tmp_path: Path) -> None:
    folder = saying(bundle, tmp_path / "b", encoder=str(tmp_path / "gone"))
    with pytest.raises(MerError, match=r"the text weights are not at .*gone; say --weights text=PATH"):
        pack(folder, tmp_path / "b.mer", with_encoders=True, weights={})
    assert not (tmp_path / "b.mer").exists()


def test_code_that_came_with_a_bundle_is_not_run(bundle: Path, tmp_path: Path) -> None:
    folder = saying(bundle, tmp_path / "b", encoder="/models/text", trust_remote_code=True)
    (folder / "weights/text").mkdir(parents=True)
    (folder / "weights/text/config.json").write_text("{}")
    (folder / "weights/text/model.py").write_text("raise SystemExit")
    with pytest.raises(MerError, match="code that came with a bundle is not run"):
        load_bundle(folder)
    assert load_bundle(folder, {"text": "/models/text"}).params.views["text"].trust_remote_code  # type: ignore[union-attr]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, link
    return about


TRICKS = {
    "above": [member("../evil")],
    "absolute": [member("/tmp/evil-mer")],
    "link": [member("bundle.json", tarfile.SYMTYPE, "/etc/passwd")],
    "hard link": [member("bundle.json", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [member("bundle.json", tarfile.CHRTYPE)],
    "pipe": [member("bundle.json", tarfile.FIFOTYPE)],
    "twice": [member("bundle.json"), member("bundle.json")],
    "backslash": [member("..\\evil")],
}


@pytest.mark.parametrize("trick", TRICKS)
def test_names_that_lead_elsewhere_are_refused(trick: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.mer", "w") as archive:
        for about in TRICKS[trick]:
            archive.addfile(about, io.BytesIO())
    (tmp_path / "inside").mkdir()
    with pytest.raises(MerError, match="not a packed bundle"):
        unpack(tmp_path / "b.mer", tmp_path / "inside/there")
    assert list((tmp_path / "inside").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no tar", b"\0" * 2048, b"PK\x03\x04" + b"x" * 600])
def test_what_is_no_packed_bundle_is_told_and_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.mer").write_bytes(content)
    with pytest.raises(MerError):
        unpack(tmp_path / "b.mer", tmp_path / "there")
    with pytest.raises(MerError):
        load_bundle(tmp_path / "b.mer")
    assert [path.name for path in tmp_path.iterdir()] == ["b.mer"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_packed_bundle_that_breaks_off_is_refused(share: float, bundle: Path, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "b.mer", with_encoders=False, weights={})
    whole = (tmp_path / "b.mer").read_bytes().rstrip(b"\0")
    (tmp_path / "b.mer").write_bytes(whole[: int(len(whole) * share)])
    try:
        unpack(tmp_path / "b.mer", tmp_path / "there")
    except MerError:
        assert not (tmp_path / "there").exists()
    else:  # it broke off between two files, and what is left is a bundle, whose encoder then is missed
        soundfile.write(tmp_path / "a.wav", np.zeros(1600, np.float32), 16000)
        with pytest.raises(MerError):
            load_bundle(tmp_path / "there").ready()


def test_nothing_is_written_over(bundle: Path, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "b.mer", with_encoders=False, weights={})
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("mine")
    with pytest.raises(MerError, match="is there already"):
        unpack(tmp_path / "b.mer", tmp_path / "there")
    with pytest.raises(MerError, match="is there already"):
        unpack(tmp_path / "b.mer", tmp_path / "b.mer")
    assert (tmp_path / "there/mine").read_text() == "mine"
