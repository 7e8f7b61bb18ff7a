"""What made the features that a bundle learned from: taken from the manifests, kept in the bundle, held against what
lies on disk when the bundle is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mer.errors import MerError
from mer.extraction.settings import deciding
from mer.params import Params, Section, parse_params
from mer.self_training.bundle import Bundle

if TYPE_CHECKING:
    from mer.store.manifest import Manifest

STEPS = {
    "audio": {"decode": "decode", "audio": "audio"},
    "face": {"decode": "decode", "face_crops": "face", "face": "face"},
    "text": {"decode": "decode", "transcripts": "transcribe", "text": "text"},
}
"""By modality, the steps that make its features, each with its section of the params."""
WEIGHTS = {
    "audio": ("audio", "model"),
    "face": ("face", "encoder"),
    "detector": ("face", "detector_model"),
    "text": ("text", "encoder"),
    "asr": ("transcribe", "asr"),
}
"""What weights encode -> where the params say where they lie."""
OPTION = {"face_crops": "detector", "transcripts": "asr"}
"""Steps whose weights have another name than the step."""
BUILT_IN = ("hog", "tfidf")
PACKED = "weights"
"""Folder inside a bundle that holds weights by what they encode, where they were packed with it."""
SEEN_BY = {"audio": ("audio",), "face": ("face", "detector"), "text": ("text", "asr")}
"""By modality, the weights that its features need."""


class Extractor(Protocol):
    """Anything with a fingerprint."""

    @property
    def fingerprint(self) -> str: ...


def save_bundle(
    folder: str | Path,
    bundle: Bundle,
    params: Params,
    data: str | Path = "data",
    about: Mapping[str, Any] | None = None,
) -> None:
    """Save a bundle with all that `Predictor` needs: extraction params, what made the features, fitted text encoder.

    `about` is what it says of itself: see `mer.about`.

    Raises:
        MerError: features were made under other params; the line says which stage to run.
    """
    from mer.store.manifest import check_settings, read_manifest  # here, because it brings pandas

    folder, data = Path(folder), Path(data)
    steps = {step: section for name in bundle.model.modalities for step, section in STEPS[name].items()}
    manifests = {step: read_manifest(data / "manifests" / f"{step}.parquet") for step in steps}
    sections: dict[str, Section] = {
        "decode": params.decode,
        "transcribe": params.transcribe,
        "audio": params.audio,
        "face": params.face,
        "text": params.text,
    }
    for step, section in steps.items():
        check_settings(manifests[step], section, deciding(sections[section]))
    shutil.rmtree(folder, ignore_errors=True)
    extra = {
        "extraction": {name: section.model_dump(mode="json") for name, section in sections.items()},
        "made": {step: _made(manifest) for step, manifest in manifests.items()},
        # From the bundle to the folder that relative paths in the params start from: nothing of this machine's.
        "here": os.path.relpath(Path.cwd(), folder),
    }
    if about is not None:
        extra["about"] = dict(about)
    replace(bundle, extra=extra).save(folder)
    if params.text.encoder == "tfidf" and "text" in bundle.model.modalities:
        shutil.copytree(data / "features" / "text" / "encoder", folder / "text")


def _made(manifest: Manifest) -> dict[str, str]:
    made = manifest.made
    return {"fingerprint": made.fingerprint, "name": made.name, "compatible": made.compatible}


@dataclass(frozen=True)
class Provenance:
    """Extraction params with weights where they lie now, and by step what made the features of training."""

    folder: Path
    params: Params
    made: Mapping[str, Mapping[str, str]]

    def check(self, step: str, extractor: Extractor) -> None:
        """Raise `MerError`, naming both, where an extractor is not the one that made the features of training."""
        then = self.made.get(step)
        if then is None:
            raise MerError(f"{self.folder}: does not say what made its {step}: train it again")
        if extractor.fingerprint == then["fingerprint"]:
            return
        if then["compatible"] and getattr(extractor, "compatible", "") == then["compatible"]:
            return  # another version of a library, which computes the same
        option = OPTION.get(step, step)
        section, key = WEIGHTS[option]
        now = getattr(getattr(self.params, section), key)
        raise MerError(
            f"{self.folder}: the {step} encoder is not the one that the bundle was trained with: that was "
            f"'{then['name']}' ({then['fingerprint'][:12]}), this is '{now}' ({extractor.fingerprint[:12]}); "
            f"`mer predict --weights {option}=PATH` says where the right one lies"
        )


def read_provenance(extra: Mapping[str, Any], folder: Path, weights: Mapping[str, str]) -> Provenance:
    """What `save_bundle` kept.

    Args:
        weights: what they encode -> where they lie now; see `WEIGHTS`.

    Raises:
        MerError: the bundle has none, or `weights` names what there is not.
    """
    try:
        values = {name: dict(section) for name, section in extra["extraction"].items()}
        made, here = dict(extra["made"]), folder / extra["here"]
        steps = [dict(step)["fingerprint"] + dict(step)["name"] + dict(step)["compatible"] for step in made.values()]
        assert all(isinstance(step, str) for step in steps)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        raise MerError(
            f"{folder}: does not say what made its features: saved by an earlier version; train it again"
        ) from None
    for name in weights:
        if name not in WEIGHTS:
            raise MerError(f"--weights {name}=...: is none of {', '.join(WEIGHTS)}")
    for name, (section, key) in WEIGHTS.items():
        value = weights.get(name) or packed_weights(folder, name) or _found(values.get(section, {}).get(key), here)
        if value is not None:
            values.setdefault(section, {})[key] = value
    params = parse_params(values, source=f"{folder}/bundle.json")
    if params.text.trust_remote_code and "text" not in weights and packed_weights(folder, "text"):
        raise MerError(
            f"{folder}: text.trust_remote_code: code that came with a bundle is not run; read it, then say where it "
            "lies by --weights text=FOLDER"
        )
    return Provenance(folder, params, made)


def packed_weights(folder: Path, name: str) -> str | None:
    """The folder or file of weights inside a bundle; None where it has none of that name."""
    inside = folder / PACKED / name
    if not inside.is_dir():
        return None
    files = list(inside.iterdir())
    return str(files[0] if len(files) == 1 and files[0].is_file() else inside)


def needed_weights(params: Params, modalities: Sequence[str]) -> dict[str, Path]:
    """Where the weights lie that a bundle's features need, by what they encode; those built in are left out."""
    found = {}
    for name in (name for modality in modalities for name in SEEN_BY[modality]):
        section, key = WEIGHTS[name]
        value = getattr(getattr(params, section), key)
        if value is not None and value not in BUILT_IN:
            found[name] = Path(value)
    return found


def _found(path: Any, here: Path) -> Any:
    """A path of the params as seen from where the bundle was saved, unless it is there as it stands."""
    if not isinstance(path, str) or path in BUILT_IN or Path(path).is_absolute():
        return path
    there = os.path.normpath(here / path)  # as a name: the folders between need not be there any more
    return there if os.path.exists(there) else path
