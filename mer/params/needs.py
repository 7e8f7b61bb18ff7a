"""What the params ask for beside the pipeline itself: `data/needed`, where stages look that may have nothing to do."""

from __future__ import annotations

import json
from pathlib import Path

from mer.errors import MerError
from mer.params import MODALITIES, AudioParams, FaceParams, ImportParams, Modality, Params
from mer.running.foreign import read_json
from mer.running.needed import FOLDER

CORPUS, HUBERT, ADAPTED = "sample/corpus", "sample/hubert", "adapt/hubert"
"""What the other pipelines of this repository make."""
VIEWS = "views.json"


def needs(params: Params) -> dict[str, bool]:
    """By name, whether the params ask for it: `media` and `faces` of the corpus, and what sample/ and adapt/ make."""
    models = {_plain(view.model) for view in params.views.values() if isinstance(view, AudioParams)}
    adapted = ADAPTED in models
    hubert = HUBERT in models or (adapted and _plain(params.adapt_audio.model) == HUBERT)
    return {
        "media": any(_is_of_media(view, params) for view in params.views.values()),
        "faces": any(isinstance(view, FaceParams) for view in params.views.values()),
        "adapted": adapted,
        "hubert": hubert,
        "corpus": hubert or _plain(params.corpus.root) == CORPUS,
    }


def _is_of_media(view: object, params: Params) -> bool:
    """Whether a view is made from decoded media; text may be, by speech recognition."""
    return not isinstance(view, ImportParams) and not (isinstance(view, FaceParams) and params.faces.crops)


def write_needs(params: Params, folder: Path = FOLDER) -> None:
    """A file a name, `yes` or `no`; and the modality of each view, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, answer in needs(params).items():
        (folder / name).write_text("yes\n" if answer else "no\n", encoding="utf-8")
    modalities = {name: view.modality for name, view in params.views.items()}
    (folder / VIEWS).write_text(json.dumps(modalities, indent=2) + "\n", encoding="utf-8")


def read_view_list(folder: Path = FOLDER) -> dict[str, Modality]:
    """The modality of each view, in the order of the params: all that training has to know of them.

    Raises:
        MerError: the file is missing, or holds something else.
    """
    found = read_json(folder / VIEWS)
    if not found or not all(modality in MODALITIES for modality in found.values()):
        raise MerError(f"{folder / VIEWS}: not a list of views; `dvc repro needed` makes it")
    return {str(name): modality for name, modality in found.items()}


def _plain(path: str) -> str:
    """A path relative to the working directory, where it lies below it."""
    absolute = Path(path).absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else path
