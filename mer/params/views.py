"""Views: any number of encoders, or of features that others extracted, for each modality.

A view has a name, a modality, and where it comes from: an encoder (`model` for audio, `encoder` for face and text) or a
`source` to import. What a view does not say it takes from the defaults of its modality.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Discriminator, Tag

from mer.params.base import MODALITIES, Modality
from mer.params.extraction import AudioParams, CropParams, FaceParams, ImportParams, TextParams
from mer.params.limits import shown

IMPORTED = "import"
KINDS: dict[str, type[AudioParams | FaceParams | TextParams | ImportParams]] = {
    "audio": AudioParams,
    "face": FaceParams,
    "text": TextParams,
    IMPORTED: ImportParams,
}
"""By modality, what an encoder's view may say; and what an import may."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
TAKEN = ("decode", "transcripts", "face_crops", "detector", "asr", "fused")
"""Names of other steps and of their weights, which lie beside those of the views, and of the expert on all views."""

EncoderParams = AudioParams | FaceParams | TextParams
ViewParams = Annotated[
    Annotated[AudioParams, Tag("audio")]
    | Annotated[FaceParams, Tag("face")]
    | Annotated[TextParams, Tag("text")]
    | Annotated[ImportParams, Tag(IMPORTED)],
    Discriminator(lambda value: kind_of(value)),
]


def kind_of(view: Any) -> str | None:
    """A view's place in `KINDS`; None where it names no modality."""
    if isinstance(view, BaseModel):
        return IMPORTED if isinstance(view, ImportParams) else str(getattr(view, "modality", None))
    if not isinstance(view, Mapping):
        return None
    return IMPORTED if "source" in view else view.get("modality")


def _named(views: Any) -> Any:
    """Views by name, each with its modality: one that is called as a modality is of that modality."""
    if not isinstance(views, Mapping):
        raise ValueError("views: a mapping of views is needed, each with its name")
    return {name: _with_modality(name, view) for name, view in views.items()}


def _with_modality(name: Any, view: Any) -> Any:
    if isinstance(view, BaseModel):
        return view
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"views: {str(name)[:80]!r}: a name has letters, digits, - and _, at most 64")
    if name in TAKEN:
        raise ValueError(f"views.{name}: this name is taken; choose another")
    if not isinstance(view, Mapping):
        raise ValueError(f"views.{name}: a mapping is needed, such as {{modality: face, encoder: hog}}")
    view = {"modality": name, **view} if name in MODALITIES else dict(view)
    if view.get("modality") not in MODALITIES:
        raise ValueError(f"views.{name}: 'modality' must be audio, face or text (got {shown(view.get('modality'))})")
    if "source" in view and (clash := {"model", "encoder"} & view.keys()):
        raise ValueError(
            f"views.{name}: either 'source' or '{min(clash)}', not both; to put an import in an encoder's place, "
            f"leave that view out (-S '~views.{name}') and give the import another name"
        )
    shared = CropParams.model_fields.keys() - FaceParams.model_fields.keys()
    if view["modality"] == "face" and (given := sorted(shared & view.keys())):
        raise ValueError(f"views.{name}: '{given[0]}' is for all face views; write faces.{given[0]}")
    return view


def _told_apart(views: dict[str, ViewParams]) -> dict[str, ViewParams]:
    if not views:
        raise ValueError("views: at least one is needed")
    seen: dict[str, str] = {}
    for name in views:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise ValueError(f"views: '{twin}' and '{name}' differ in case only; some file systems hold them for one")
    return views


Views = Annotated[dict[str, ViewParams], BeforeValidator(_named), AfterValidator(_told_apart)]


def default_views() -> dict[str, ViewParams]:
    """What a file without the section `views` gets: one view a modality."""
    return {"audio": AudioParams(), "face": FaceParams(), "text": TextParams()}


def of_modality(views: Mapping[str, ViewParams], modality: Modality) -> list[str]:
    """Names of the views of a modality, in order."""
    return [name for name, view in views.items() if view.modality == modality]


def origin(view: ViewParams) -> str:
    """Where a view comes from: an encoder's name or path, or that of an import."""
    if isinstance(view, AudioParams):
        return view.model
    return view.source if isinstance(view, ImportParams) else view.encoder


def moved(values: Mapping[str, Any]) -> str | None:
    """What to write now, for a file from before there were views; None for others."""
    old = [name for name in MODALITIES if name in values]
    if not old:
        return None
    views: dict[str, dict[str, Any]] = {}
    faces: dict[str, Any] = {}
    for name in old:
        given = values[name] if isinstance(values[name], Mapping) else {}
        for key, value in _changed(given, KINDS[name]):
            views.setdefault(name, {})[key] = value
        if name == "face":
            faces = dict(_changed(given, CropParams))
    written = ", ".join(f"{name}: {_flow({'modality': name, **views.get(name, {})})}" for name in old)
    crops = f" and faces: {_flow(faces)}" if faces else ""
    said = "sections" if len(old) > 1 else "section"
    return f"{said} {', '.join(old)}: these are views now; write views: {{{written}}}{crops} instead"


def _changed(given: Mapping[str, Any], section: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Keys that a section of this kind has and that are not at their defaults."""
    for key, value in given.items():
        field = section.model_fields.get(key)
        if field is not None and key not in ("max_failed", "max_lost"):
            default = field.get_default(call_default_factory=True)
            plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
            if value != (list(plain) if isinstance(plain, tuple) else plain):
                yield key, value


def _flow(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), default_flow_style=True, width=10**6, sort_keys=False).strip()
