"""A mistake in params.yaml is one line that names the key."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from mer.errors import MerError
from mer.params import Params, load_params, parse_params


@pytest.fixture
def load(tmp_path):
    def load_text(text: str) -> Params:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return load_params(tmp_path / "params.yaml")

    return load_text


def test_what_is_not_given_takes_its_default(load):
    params = load("corpus: {root: /data/emodb, layout: folder}\n")
    assert params.corpus.root == "/data/emodb"
    assert params.corpus.folds == 5
    assert params.evaluate.bootstrap == 2000


def test_an_empty_file_is_all_defaults(load):
    assert load("") == Params()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus: {rot: x}", "unknown key 'corpus.rot'"),
        ("corups: {root: x}", "unknown key 'corups'"),
        ("corpus: {folds: many}", "'corpus.folds': Input should be a valid integer"),
        ("corpus: {folds: 1}", "'corpus.folds': Input should be greater than or equal to 2 (got 1)"),
        ("corpus: {layout: mer2042}", "'corpus.layout': Input should be 'folder', 'mer2023'"),
        (
            "corpus: {labels: clips.csv}",
            "corpus.labels is for the layouts folder, mertools and mmsa alone, and layout is mer2024",
        ),
        (
            "corpus: {layout: meld, test: test1}",
            "corpus.test is for the layouts mer2023 and mertools alone, and layout is meld",
        ),
        ("corpus: {classes: [sad, sad]}", "'corpus.classes': class names must be distinct and not empty (got"),
        ("corpus: {classes: [sad]}", "'corpus.classes': Tuple should have at least 2 items"),
        ("corpus: {columns: {speaker: group}}", "'corpus.columns.speaker': Input should be 'clip_id'"),
        (
            "corpus: {label_map: iemocap-5}",
            "'corpus.label_map': a mapping is needed, or the name of one",
        ),
        (
            "corpus: {label_map: {no: sad}}",
            "'corpus.label_map': YAML reads the label False as no text",
        ),
        ("corpus: {label_map: {a: 1}}", "'corpus.label_map': YAML reads 1 as no text"),
        ("corpus: {label_map: {a: x, A: y}}", "'corpus.label_map': labels must be distinct, capitals aside"),
        ("corpus: {target: [valence, valence]}", "'corpus.target': targets must be distinct"),
        ("corpus: {target: a/b}", "'corpus.target': 'a/b' is no name for a target"),
        ("corpus: {encoding: utf-9}", "'corpus.encoding': no encoding 'utf-9' is known"),
        ("corpus: {encoding: base64}", "'corpus.encoding': no encoding 'base64' is known"),
        ("corpus: sample", "'corpus': a mapping of keys is needed (got 'sample')"),
        ("evaluate: {confidence: 95}", "'evaluate.confidence': Input should be less than 1 (got 95)"),
        ("model: {normalise: [group, group]}", "model.normalise must name at least one way, each once"),
        ("robustness: {snr: [3, 3]}", "robustness.snr must name each value once"),
        (
            "self_train: {posthoc_adjustment: 1.5}",
            "'self_train.posthoc_adjustment': Input should be less than or equal to 1; or Input should be "
            "'weighted_f1' (got 1.5)",
        ),
        (
            "views: {audio: {layers: [1, x]}}",
            "'views.audio.layers': Input should be 'all' (got [1, 'x']); 'views.audio.layers.1': Input",
        ),
        ("- corpus", "'the file': a mapping of keys is needed"),
        ("corpus: {", "not valid YAML"),
    ],
)
def test_a_mistake_is_named_in_one_line(load, text, message):
    with pytest.raises(MerError, match=rf"params\.yaml: .*{re.escape(message)}") as raised:
        load(text)
    assert "\n" not in str(raised.value)


def test_every_mistake_is_named_at_once():
    with pytest.raises(MerError, match=r"'corpus.folds'.*; unknown key 'views.audio.modle'"):
        parse_params({"corpus": {"folds": 0}, "views": {"audio": {"modle": "x"}}})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MerError, match=r"nowhere\.yaml: No such file or directory"):
        load_params(tmp_path / "nowhere.yaml")


def test_params_cannot_be_changed():
    with pytest.raises(ValidationError):
        Params().corpus.root = "elsewhere"
