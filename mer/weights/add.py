"""Somebody's own weights as an encoder folder: recognised by looking, converted where needed, with their origin."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from mer.errors import MerError
from mer.running.foreign import foreign, read_json
from mer.weights import provenance
from mer.weights.convert import conversion
from mer.weights.download import file_sha256
from mer.weights.fetch import DOWNLOADS, ROOT, alone, disk_space, install
from mer.weights.provenance import Provenance
from mer.weights.whisper import is_ctranslate2_whisper

SINGLE = {".onnx": "face", ".tflite": "face detection", ".pt": "speech"}
"""Files that are a model by themselves, and what reads them."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
SPEECH = ("hubert", "wav2vec2", "wavlm", "data2vec-audio", "whisper")


def add(source: str | Path, root: Path = ROOT, *, name: str | None = None, licence: str = "not stated") -> Provenance:
    """Write `root/<name>` from a folder or a file of weights.

    A Hugging Face folder is copied, Whisper in CTranslate2's layout and a fairseq .pt become Hugging Face folders, an
    ONNX or TFLite file gets a folder. No pickle is executed, and no code of the folder runs.

    Raises:
        MerError: nothing there that an encoder can be made of, the name is taken, or the disk is full.
    """
    source = Path(source)
    name = name or re.sub(r"[^\w.-]+", "-", source.resolve().stem if source.is_file() else source.resolve().name)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise MerError(f"'{name}' is no name for a folder: letters, digits, '.', '_' and '-'; see --name")
    kind, role = _recognise(source)
    if (root / name).exists():
        raise MerError(f"{root / name}: exists already; give another --name, or remove it")
    work = root / DOWNLOADS / f"{name}.work"
    with alone(root / DOWNLOADS), disk_space(name, root):
        shutil.rmtree(work, ignore_errors=True)
        (work / "made").mkdir(parents=True)
        try:
            _make(kind, source, work / "made")
            about = Provenance(name, role, source.name, licence, kind, _sources(source))
            about.files.update(provenance.describe(work / "made"))
            provenance.write(work / "made", about)
            install(name, root, work / "made")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return about


def usage(about: Provenance, folder: Path) -> Mapping[str, str]:
    """The keys of params.yaml that take such a folder."""
    keys = {"speech": "views.audio.model", "speech recognition": "transcribe.asr", "text": "views.text.encoder"}
    values = {keys[role]: str(folder) for role in about.role.split(", ") if role in keys}
    for file in sorted(about.files):
        if file.endswith(".onnx"):
            values["views.face.encoder"] = str(folder / file)
        elif file.endswith(".tflite"):
            values |= {"faces.detector": "mediapipe", "faces.detector_model": str(folder / file)}
    if about.role == "face":
        values.setdefault("views.face.encoder", str(folder))
    return values


def _recognise(source: Path) -> tuple[str, str]:
    """Which conversion a source takes, and what the encoder is for."""
    if source.is_file() and source.suffix in SINGLE:
        return ("fairseq" if source.suffix == ".pt" else "file"), SINGLE[source.suffix]
    if not source.is_dir():
        raise MerError(f"{source}: no folder, and no {', '.join(SINGLE)} file")
    if is_ctranslate2_whisper(source):
        return "whisper", "speech, speech recognition"
    if not (source / "config.json").is_file():
        raise MerError(f"{source}: no config.json (Hugging Face) and no model.bin with a vocabulary (CTranslate2)")
    if not any(any(source.glob(pattern)) for pattern in WEIGHTS):
        raise MerError(f"{source}: no {' or '.join(WEIGHTS)} beside config.json")
    return "copy", _role(source / "config.json")


def _role(config: Path) -> str:
    values = read_json(config)
    if "model_type" not in values:
        raise MerError(f"{config}: no model_type in it")
    kind = str(values["model_type"])
    if kind == "whisper":
        return "speech, speech recognition"
    if kind in SPEECH:
        return "speech"
    return "face" if "image_size" in values or "vision_config" in values else "text"


def _make(kind: str, source: Path, made: Path) -> None:
    if kind == "file":
        shutil.copyfile(source, made / source.name)
    elif kind == "fairseq":
        from mer.encoders.speech.checkpoint import convert_checkpoint

        convert_checkpoint(source, made)
    elif kind == "copy":
        for path in _files(source):
            shutil.copyfile(path, made / path.name)
    else:
        with foreign(str(source)):
            conversion(kind)(source, made)
    for path in made.iterdir():
        path.chmod(0o644)


def _files(source: Path) -> list[Path]:
    """The regular files of a folder, hidden ones and folders inside left out."""
    return sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))


def _sources(source: Path) -> list[dict[str, str]]:
    files = [source] if source.is_file() else _files(source)
    return [{"file": path.name, "sha256": file_sha256(path)} for path in files if path.name != provenance.FILE]
