"""Views in the params: any number a modality, short forms, and a line for whatever is wrong with one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mer.errors import MerError
from mer.params import AudioParams, FaceParams, ImportParams, Params, parse_params
from mer.params.needs import needs, read_view_list, write_needs


def test_a_short_view_takes_the_rest_from_its_modality() -> None:
    params = parse_params({"views": {"clip": {"modality": "face", "encoder": "/models/clip"}, "text": {}}})
    assert params.views["clip"] == FaceParams(encoder="/models/clip")
    assert params.model.modalities == ("face", "text")


def test_several_views_a_modality_and_an_import_among_them() -> None:
    views = {"one": {"modality": "audio"}, "two": {"modality": "audio", "source": "features/x-UTT"}}
    params = parse_params({"views": views})
    assert (type(params.views["one"]), type(params.views["two"])) == (AudioParams, ImportParams)
    assert params.model.modalities == ("audio",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"views": {}}, "views: at least one is needed"),
        ({"views": {"clip": {"encoder": "x"}}}, "views.clip: 'modality' must be audio, face or text (got None)"),
        (
            {"views": {"clip": {"modality": "video"}}},
            "views.clip: 'modality' must be audio, face or text (got 'vid",
        ),
        ({"views": {"clip": "/models/clip"}}, "views.clip: a mapping is needed"),
        ({"views": {"a.b": {"modality": "face"}}}, "views: 'a.b': a name has letters"),
        ({"views": {"decode": {"modality": "face"}}}, "views.decode: this name is taken"),
        ({"views": {"A": {"modality": "face"}, "a": {"modality": "face"}}}, "views: 'A' and 'a' differ in case only"),
        (
            {"views": {"x": {"modality": "face", "encoder": "a", "source": "b"}}},
            "views.x: either 'source' or 'enc",
        ),
        (
            {"views": {"face": {"detector": "yunet"}}},
            "is for all face views; write faces.detector",
        ),
        ({"views": {"x": {"modality": "audio", "layer": 1}}}, "unknown key 'views.x.layer'"),
        (
            {"views": {"text": {}}, "model": {"modalities": ["audio"]}},
            "model.modalities: no view has the modality",
        ),
        (
            {"audio": {"model": "/m"}, "face": {"detector": "yunet", "encoder": "/v"}},
            "sections audio, face: these are views now; write views: {audio: {modality: audio, model: /m}, "
            "face: {modality: face, encoder: /v}} and faces: {detector: yunet} instead",
        ),
        ({"text": {"dimensions": 4}}, "section text: these are views now; write views: {text: {modality: text, dim"),
    ],
)
def test_a_mistake_is_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(MerError, match=re.escape(said)) as raised:
        parse_params(values)
    assert "\n" not in str(raised.value)


def test_two_views_of_one_name_are_named_with_their_line(tmp_path: Path) -> None:
    from mer.params import load_params

    (tmp_path / "params.yaml").write_text("views:\n  clip: {modality: face}\n  clip: {modality: face}\n")
    with pytest.raises(MerError, match="line 3: key 'clip' is there twice"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, {"media", "faces", "hubert", "corpus"}),
        ({"views": {"audio": {"model": "/models/hubert"}}, "corpus": {"root": "/data"}}, {"media"}),
        (
            {"views": {"audio": {"model": "adapt/hubert"}}, "corpus": {"root": "/data"}},
            {"media", "adapted", "hubert", "corpus"},
        ),
        ({"views": {"x": {"modality": "face", "source": "f"}}, "corpus": {"root": "/data"}}, set()),
        ({"views": {"face": {}}, "corpus": {"root": "sample/corpus"}}, {"media", "faces", "corpus"}),
    ],
)
def test_what_the_params_ask_for(values: dict[str, Any], asked: set[str], tmp_path: Path) -> None:
    params = parse_params(values)
    assert {name for name, answer in needs(params).items() if answer} == asked
    write_needs(params, tmp_path)
    assert list(read_view_list(tmp_path)) == list(params.views)


def test_a_broken_list_of_views_is_refused(tmp_path: Path) -> None:
    (tmp_path / "views.json").write_text(json.dumps({"a": "video"}))
    with pytest.raises(MerError, match="not a list of views"):
        read_view_list(tmp_path)
    assert Params().views.keys() == {"audio", "face", "text"}
