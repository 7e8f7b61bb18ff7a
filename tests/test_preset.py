"""`mer preset`: a partial params tree goes into params.yaml, whose comments, order and other values stay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mer.cli import app
from mer.errors import MerError
from mer.params import load_params, parse_params
from mer.params.preset import apply_presets, presets, read_preset, with_value

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path):
    """A copy of the repository's params.yaml, and a folder for presets."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "presets").mkdir()
    return tmp_path


def apply(here, text, *more):
    names = []
    for number, content in enumerate((text, *more)):
        names.append(f"p{number}")
        (here / "presets" / f"{names[-1]}.yaml").write_text(content, encoding="utf-8")
    return apply_presets(names, here / "params.yaml", here / "presets")


def test_only_the_values_change_and_comments_stay(here):
    before = (here / "params.yaml").read_text().splitlines()
    preset = "# few\nself_train: {rounds: 0}\ncorpus: {root: /data/我的, layout: folder, columns: {group: speaker}}\n"
    changes = apply(here, preset)
    after = (here / "params.yaml").read_text().splitlines()
    assert [str(change) for change in changes] == [
        "self_train.rounds: 1 -> 0",
        "corpus.root: sample/corpus -> /data/我的",
        "corpus.layout: mer2024 -> folder",
        "corpus.columns: {} -> {group: speaker}",
    ]
    differ = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(differ) == 4
    assert all(("#" in a) == ("#" in b) and a.partition("#")[2] == b.partition("#")[2] for a, b in differ)
    assert load_params(here / "params.yaml").corpus.columns == {"group": "speaker"}


def test_every_value_kind_goes_in_and_comes_out(here):
    apply(
        here,
        """
views: {audio: {layers: [0, 1], pooling: mean_std, dtype: int8}, face: {onnx: {mean: [0.5, 0.25, 0.125], output: null}}}
transcribe: {asr: 'encoders/a b: c', language: "no"}
faces: {detector_model: "#1.onnx"}
corpus: {classes: [a, 'yes', "1"]}
model: {modalities: [audio]}
""",
    )
    params = load_params(here / "params.yaml")
    assert params.views["audio"].layers == (0, 1)
    assert (params.transcribe.asr, params.transcribe.language) == ("encoders/a b: c", "no")
    assert (params.views["face"].onnx.mean, params.faces.detector_model) == ((0.5, 0.25, 0.125), "#1.onnx")
    assert params.corpus.classes == ("a", "yes", "1")


def test_a_second_time_changes_nothing_and_later_presets_win(here):
    assert len(apply(here, "transcribe: {dtype: bfloat16}", ["transcribe: {dtype: float32}", ": {}\n"][0])) == 0
    assert len(apply(here, "transcribe: {dtype: bfloat16}")) == 1
    text = (here / "params.yaml").read_bytes()
    assert apply(here, "transcribe: {dtype: bfloat16}") == []
    assert (here / "params.yaml").read_bytes() == text


def merged(values, changes):
    inner = {key: merged(values[key], of) if isinstance(of, dict) else of for key, of in changes.items()}
    return values | inner


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "decode:\n  frames: 3  # kept\nfaces: {crop_size: 64}\n",
        "transcribe: {}\n",
        "transcribe: {language: de}  # kept\n",
        "model:\n  speakers:\n  - 2\n  - 3  # last\n  # more\nfaces:\n  crop_size: 64\n",
        "model:\n  speakers:\n    - 2\n    - 3",
        "pretrain: {seed: 1}\n\n\n# the end\n",
        "model:\n  width: 8\n\n  # a remark\n\npretrain:\n  seed: 1\n",
        "views:\n  audio:\n    pooling: mean\n\n    # a remark\n  face: {onnx: {size: 3}}\n  text: {}\n",
        "views: {audio: {layers: [-2, -1]}, face: {}, text: {seed: 1}}  # kept\n",
        "views:\n  audio:\n    layers:\n    - -2\n    - -1  # last\n  face:\n    onnx:\n      size: 3\n  text: {}",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "model: {speakers: [5], width: 16}",
        "views: {audio: {layers: [0], window_seconds: 5.0}, face: {onnx: {size: 7}}}",
        "{}",
    ],
)
def test_files_of_other_shapes_keep_what_they_say(here, text, value):
    (here / "params.yaml").write_text(text)
    before = parse_params(yaml.safe_load(text) or {}).model_dump(mode="json")
    apply(here, value)
    after = load_params(here / "params.yaml").model_dump(mode="json")
    wanted = yaml.safe_load(value)
    assert after == merged(before, wanted)
    kept = [line.partition("#")[2] for line in text.splitlines() if "#" in line and "last" not in line]
    assert all(comment in (here / "params.yaml").read_text() for comment in kept)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("views: {audio: {modle: x}}", r"p0\.yaml: unknown key 'views\.audio\.modle'"),
        ("views: {audio: {pooling: max}}", r"p0\.yaml: 'views\.audio\.pooling'"),
        ("[1, 2]", "a preset is a mapping"),
        ("views: {", "not valid YAML"),
        ("corpus: {test: test1}", r"p0\.yaml.*test is for the layouts mer2023"),
    ],
)
def test_a_preset_with_a_mistake_changes_nothing(here, text, words):
    before = (here / "params.yaml").read_bytes()
    with pytest.raises(MerError, match=words):
        apply(here, text)
    assert (here / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["rael", "../params", "", "real.yaml"])
def test_a_name_that_is_none_lists_what_there_is(name):
    with pytest.raises(MerError, match=r"there is no preset .*there are: .*real"):
        read_preset(name, ROOT / "presets")


def test_presets_of_the_repository_fit_and_say_what_they_are(here):
    for name, about in presets(ROOT / "presets").items():
        assert about, name
        (here / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        apply_presets([name], here / "params.yaml", ROOT / "presets")
        for keys, value in read_preset(name, ROOT / "presets").items():
            found = load_params(here / "params.yaml").model_dump(mode="json")
            for key in keys:
                found = found[key]
            assert found == value


def test_the_command_prints_the_difference_and_what_is_missing(here, monkeypatch):
    monkeypatch.chdir(here)
    (here / "presets/real.yaml").write_text("# Real ones\nviews: {audio: {model: encoders/nowhere}}\n")
    run = CliRunner().invoke
    assert run(app, ["preset"]).output.split() == ["real", "Real", "ones"]
    output = run(app, ["preset", "real"]).output
    assert "views.audio.model: sample/hubert -> encoders/nowhere" in output
    assert "encoders/nowhere is not there yet: make encoders" in output
    assert "has these values already" in run(app, ["preset", "real"]).output


def test_a_value_that_follows_its_key_on_a_line_of_its_own_is_found():
    assert yaml.safe_load(with_value("audio:\n  pooling:\n    mean\n", ("audio", "pooling"), "x")) == {
        "audio": {"pooling": "x"}
    }


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("asr:\nlanguage: zh\n", "asr: x\nlanguage: zh\n"),
        ("asr:          # where Whisper lies\n", "asr: x          # where Whisper lies\n"),
        ("asr:", "asr: x"),
        ("{asr:, language: zh}\n", "{asr: x, language: zh}\n"),
        ("{language: zh, asr: }\n", "{language: zh, asr: x }\n"),
    ],
)
def test_an_empty_value_as_dvc_writes_it_is_filled(text, after):
    assert with_value(text, ("asr",), "x") == after
    assert yaml.safe_load(after)["asr"] == "x"


def test_a_preset_fits_the_params_as_dvc_leaves_them(here):
    """`dvc exp run -S` writes null as nothing."""
    path = here / "params.yaml"
    path.write_text(re.sub(r"(\w+): null", r"\1:", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert "asr:\n" in path.read_text(encoding="utf-8")
    apply_presets(["real"], path, ROOT / "presets")
    assert load_params(path).transcribe.asr == "encoders/whisper-base"
