"""What made the features that a bundle learned from: taken from the manifests, kept in the bundle, held against what
lies on disk when the bundle is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mer.errors import MerError
from mer.extraction.settings import deciding
from mer.params import FaceParams, ImportParams, Params, Section, TextParams, origin, parse_params
from mer.self_training.bundle import Bundle

if TYPE_CHECKING:
    from mer.store.manifest import Manifest

BUILT_IN = ("hog", "tfidf")
OTHERS = {"detector": ("faces", "detector_model"), "asr": ("transcribe", "asr")}
"""Weights that are no view's -> where the params say where they lie."""
OPTION = {"face_crops": "detector", "transcripts": "asr"}
"""Steps whose weights have another name than the step."""
PACKED = "weights"
"""Folder inside a bundle that holds weights by what they encode, where they were packed with it."""


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
    views = {name: params.views[name] for name in bundle.standardisation.views.names}
    steps = {step: section for name in views for step, section in _steps(params, name).items()}
    manifests = {step: read_manifest(data / "manifests" / f"{step}.parquet") for step in steps}
    for step, (where, section) in steps.items():
        check_settings(manifests[step], where, deciding(section))
    shutil.rmtree(folder, ignore_errors=True)
    sections = {"decode": params.decode, "transcribe": params.transcribe, "faces": params.faces}
    extraction = {name: section.model_dump(mode="json") for name, section in sections.items()}
    extra = {
        "extraction": {**extraction, "views": {name: view.model_dump(mode="json") for name, view in views.items()}},
        "made": {step: _made(manifest) for step, manifest in manifests.items()},
        # From the bundle to the folder that relative paths in the params start from: nothing of this machine's.
        "here": os.path.relpath(Path.cwd(), folder),
    }
    if about is not None:
        extra["about"] = dict(about)
    replace(bundle, extra=extra).save(folder)
    for name, view in views.items():
        if isinstance(view, TextParams) and view.encoder == "tfidf":
            shutil.copytree(data / "features" / name / "encoder", folder / name)


def _steps(params: Params, name: str) -> dict[str, tuple[str, Section]]:
    """The steps that make a view, each with its section of the params."""
    view = params.views[name]
    own: dict[str, tuple[str, Section]] = {name: (f"views.{name}", view)}
    if isinstance(view, ImportParams):
        return own
    beside: dict[str, tuple[str, Section]] = {"decode": ("decode", params.decode)}
    if isinstance(view, FaceParams):
        beside["face_crops"] = ("faces", params.faces)
    elif isinstance(view, TextParams):
        beside["transcripts"] = ("transcribe", params.transcribe)
    return {**beside, **own}


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
        if option in OTHERS:
            section, key = OTHERS[option]
            now = getattr(getattr(self.params, section), key)
        else:
            now = origin(self.params.views[step])
        raise MerError(
            f"{self.folder}: the {step} encoder is not the one that the bundle was trained with: that was "
            f"'{then['name']}' ({then['fingerprint'][:12]}), this is '{now}' ({extractor.fingerprint[:12]}); "
            f"`mer predict --weights {option}=PATH` says where the right one lies"
        )


def read_provenance(extra: Mapping[str, Any], folder: Path, weights: Mapping[str, str]) -> Provenance:
    """What `save_bundle` kept.

    Args:
        weights: name of a view, `detector` or `asr` -> where its weights lie now.

    Raises:
        MerError: the bundle has none, or `weights` names what there is not.
    """
    try:
        values = {name: dict(section) for name, section in extra["extraction"].items()}
        values["views"] = {name: dict(view) for name, view in values["views"].items()}
        made, here = dict(extra["made"]), folder / extra["here"]
        steps = [dict(step)["fingerprint"] + dict(step)["name"] + dict(step)["compatible"] for step in made.values()]
        assert all(isinstance(step, str) for step in steps)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        raise MerError(
            f"{folder}: does not say what made its features: saved by an earlier version; train it again"
        ) from None
    places = {name: (view, _key(view)) for name, view in values["views"].items()}
    places |= {name: (values.setdefault(section, {}), key) for name, (section, key) in OTHERS.items()}
    for name in weights:
        if name not in places:
            raise MerError(f"--weights {name}=...: is none of {', '.join(places)}")
    for name, (section, key) in places.items():
        value = weights.get(name) or packed_weights(folder, name) or _found(section.get(key), here)
        if value is not None:
            section[key] = value
    params = parse_params(values, source=f"{folder}/bundle.json")
    for name, view in params.views.items():
        own_code = isinstance(view, TextParams) and view.trust_remote_code
        if own_code and name not in weights and packed_weights(folder, name):
            raise MerError(
                f"{folder}: views.{name}.trust_remote_code: code that came with a bundle is not run; read it, then say "
                f"where it lies by --weights {name}=FOLDER"
            )
    return Provenance(folder, params, made)


def packed_weights(folder: Path, name: str) -> str | None:
    """The folder or file of weights inside a bundle; None where it has none of that name."""
    inside = folder / PACKED / name
    if not inside.is_dir():
        return None
    files = list(inside.iterdir())
    return str(files[0] if len(files) == 1 and files[0].is_file() else inside)


def needed_weights(params: Params) -> dict[str, Path]:
    """Where the weights lie that a bundle's features need, by the names of views, `detector` and `asr`; those built in
    are left out, and imported views have none."""
    views = {name: view for name, view in params.views.items() if not isinstance(view, ImportParams)}
    found: dict[str, str | None] = {name: origin(view) for name, view in views.items()}
    modalities = {view.modality for view in views.values()}
    found |= {"detector": params.faces.detector_model} if "face" in modalities else {}
    found |= {"asr": params.transcribe.asr} if "text" in modalities else {}
    return {name: Path(path) for name, path in found.items() if path is not None and path not in BUILT_IN}


def _key(view: Mapping[str, Any]) -> str:
    """The key of a view that says what it is made from."""
    return next((key for key in ("source", "model") if key in view), "encoder")


def _found(path: Any, here: Path) -> Any:
    """A path of the params as seen from where the bundle was saved, unless it is there as it stands."""
    if not isinstance(path, str) or path in BUILT_IN or Path(path).is_absolute():
        return path
    there = os.path.normpath(here / path)  # as a name: the folders between need not be there any more
    return there if os.path.exists(there) else path
