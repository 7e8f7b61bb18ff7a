"""Targets of new files, beside classes and alone: the numbers of training, in every form that a prediction takes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from mer import load_bundle
from mer.cli import app
from mer.errors import MerError
from mer.prediction.answer import Estimate, Prediction
from mer.prediction.export import export_onnx
from mer.prediction.tables import Columns, Table
from mer.prediction.tiers import FORMS, rows, write
from mer.prediction.timeline import Utterance, smooth
from tests.bundles import TEXTS, text_bundle

TARGETS = ("valence", "arousal")
NUMBERS = [f"t_{name}{end}" for name in TARGETS for end in ("", "_low", "_high")]
SAD = TEXTS["sad"]


@pytest.fixture(scope="module", name="both")
def both_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("both"), targets=TARGETS)


@pytest.fixture(scope="module", name="alone")
def alone_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("alone"), targets=TARGETS, classes=False)


@pytest.fixture(scope="module", name="within_groups")
def within_groups_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("groups"), "group", targets=TARGETS)


@pytest.fixture(params=["both", "alone"])
def trained(request: pytest.FixtureRequest) -> Path:
    """A bundle with classes and one without."""
    found: Path = request.getfixturevalue(request.param)
    return found


def clips_of(bundle: Path, folder: Path) -> tuple[Path, pd.DataFrame]:
    """The clips that a bundle learned from as files with a list, and the table of training."""
    clips = pd.read_parquet(bundle.parent / "clips.parquet")
    for name in clips["clip_id"]:
        soundfile.write(folder / f"{name}.wav", np.zeros(1600, np.float32), 16000)
    listed = clips.assign(file=clips["clip_id"] + ".wav")[["file", "group", "transcript"]]
    listed.to_csv(folder / "list.csv", index=False)
    return folder / "list.csv", pd.read_parquet(bundle.parent / "predictions.parquet")


@pytest.mark.parametrize("name", ["both", "alone", "within_groups"])
def test_the_unlabeled_clips_of_training_get_the_numbers_of_its_table(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Labeled clips have theirs out of fold there, from models that never saw them."""
    bundle = request.getfixturevalue(name)
    listed, table = clips_of(bundle, tmp_path)
    out = tmp_path / "out.parquet"
    done = CliRunner().invoke(app, ["predict", str(listed), "--bundle", str(bundle), "--out", str(out)])
    assert done.exit_code == 0, done.output
    found, unlabeled = pd.read_parquet(out), (table["split"] == "unlabeled").to_numpy()
    assert unlabeled.sum() == len(TEXTS)
    np.testing.assert_allclose(found[NUMBERS][unlabeled], table[NUMBERS][unlabeled], rtol=1e-5, atol=1e-5)
    assert np.ptp(found["t_valence"]) > 1
    assert list(found["label"][unlabeled].fillna("")) == list(table["predicted"][unlabeled].fillna(""))
    assert found["error"].isna().all()


def test_the_python_door_gives_numbers_with_their_intervals(trained: Path, silence: Path) -> None:
    bundle = load_bundle(trained)
    assert bundle.targets == TARGETS
    happy, sad = bundle.predict([silence, silence], [TEXTS["happy"], SAD])
    for name in TARGETS:
        for one in (happy, sad):
            assert one.targets[name].low < one.targets[name].value < one.targets[name].high
        assert happy.targets[name].value > sad.targets[name].value
    assert (sad.label, sad.error) == ("sad" if bundle.classes else None, None)
    assert bool(sad.probabilities) == bool(sad.by_modality) == bool(bundle.classes)


def test_a_bundle_of_classes_alone_has_no_targets(bundle: Path, silence: Path) -> None:
    [found] = load_bundle(bundle).predict(silence, [SAD])
    assert (load_bundle(bundle).targets, found.targets) == ((), {})
    assert "targets" not in found.as_dict()


def test_a_file_gets_the_same_numbers_to_the_last_bit_whatever_its_company(trained: Path, silence: Path) -> None:
    bundle = load_bundle(trained)
    texts = [*TEXTS.values(), "太好了出去", "难过开心"] * 8
    together = bundle.predict([silence] * len(texts), texts)
    apart = [bundle.predict(silence, [text])[0] for text in texts[:5]]
    assert [one.targets for one in together[:5]] == [one.targets for one in apart]


def test_targets_within_groups_wait_for_all_clips_of_a_group(within_groups: Path, silence: Path) -> None:
    """Where targets are standardised within groups, classes need not be."""
    from dataclasses import replace

    bundle = load_bundle(within_groups)
    assert bundle.by_group
    numbers = bundle.classifier.numbers
    assert numbers is not None
    corpus = replace(numbers.standardisation, name="corpus")
    bundle.classifier = replace(bundle.classifier, standardisation=corpus)
    assert bundle.by_group
    bundle.classifier = replace(bundle.classifier, numbers=replace(numbers, standardisation=corpus))
    assert not bundle.by_group


def test_the_terminal_has_a_line_with_both(trained: Path, silence: Path) -> None:
    arguments = ["predict", str(silence), "--bundle", str(trained), "--transcript"]
    done = CliRunner().invoke(app, [*arguments, SAD])
    assert done.exit_code == 0, done.output
    [line] = done.stdout.splitlines()
    [one] = load_bundle(trained).predict(silence, [SAD])
    assert f"valence {one.targets['valence'].value:.4g} [" in line
    assert line.startswith(f"{silence}: sad  sad 1.00, " if one.label else f"{silence}: valence")
    assert "None" not in line
    told = json.loads(CliRunner().invoke(app, [*arguments, SAD, "--json"]).stdout)
    assert told["targets"]["arousal"]["high"] == pytest.approx(one.targets["arousal"].high, rel=1e-8)
    assert ("error" in told, told["label"]) == (False, one.label)
    failed = CliRunner().invoke(app, [*arguments[:-1]])
    assert failed.exit_code == 1
    assert "nothing to go by" in failed.stdout


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_tables_hold_numbers_and_are_gone_on_with(form: str, trained: Path, silence: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    arguments = ["predict", str(silence), "--bundle", str(trained), "--transcript", SAD, "--out", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    before = out.read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert "0 predicted now" in again.output
    assert out.read_bytes() == before
    [one] = load_bundle(trained).predict(silence, [SAD])
    if form == "jsonl":
        found = json.loads(before)["targets"]["valence"]
        assert found["value"] == pytest.approx(one.targets["valence"].value, rel=1e-8)
        return
    table = pd.read_csv(out) if form == "csv" else pd.read_parquet(out)
    assert [name for name in table if name.startswith("t_")] == NUMBERS
    assert table["t_arousal_low"][0] == pytest.approx(one.targets["arousal"].low, rel=1e-8)
    assert bool([name for name in table if name.startswith("p_")]) == (one.label is not None)


def numbered(value: float, *, label: str | None = "a", radius: float = 1.0) -> Prediction:
    probabilities = {} if label is None else {"a": 0.75, "b": 0.25}
    targets = {"valence": Estimate(value, value - radius, value + radius)}
    return Prediction("f.mp4", label, probabilities, {"text": True}, targets=targets, transcript="so")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_interval_without_bounds_and_a_row_without_numbers_are_kept(form: str, tmp_path: Path) -> None:
    out, columns = tmp_path / f"out.{form}", Columns((), ("text",), "0" * 12, ("valence",))
    found = [numbered(1e-12, label=None, radius=math.inf), Prediction("g.mp4", None, {}, {}, "it broke")]
    for _ in range(2):
        with Table(out, columns) as table:
            for one in found:
                if one.path not in table.rows:
                    table.add(one)
            table.finish(["f.mp4", "g.mp4"])
    if form == "jsonl":
        first, second = (json.loads(line, parse_constant=pytest.fail) for line in out.read_text().splitlines())
        assert first["targets"] == {"valence": {"value": 1e-12, "low": None, "high": None}}
        assert "targets" not in second
        return
    kept = pd.read_csv(out) if form == "csv" else pd.read_parquet(out)
    assert list(kept["t_valence"].fillna(-9.0)) == [1e-12, -9.0]
    assert (kept["t_valence_low"][0], kept["t_valence_high"][0]) == (-math.inf, math.inf)


@pytest.mark.parametrize("label", ["a", None])
def test_a_timeline_holds_the_numbers_of_each_utterance_in_every_form(label: str | None, tmp_path: Path) -> None:
    cut = [(1.0, 2.0), (3.0, 4.0)]
    voted = [numbered(0.5, label=label), numbered(-0.25, label=label)]
    near = smooth(cut, voted, 5.0)
    found = [Utterance(*span, one, (), of) for span, one, of in zip(cut, voted, near, strict=True)]
    assert [row["t_valence"] for row in rows(found)] == [0.5, -0.25]
    assert rows(found)[0]["t_valence_high"] == 1.5
    assert "valence 0.5 [-0.5, 1.5]" in str(found[0])
    assert "None" not in str(found[0])
    for form in FORMS:
        write(tmp_path / f"a{form}", found, "f.mp4")
        if form not in (".csv", ".jsonl", ".parquet"):
            text = (tmp_path / f"a{form}").read_text()
            assert "-0.25" in text
            assert "None" not in text
    head = "[a 0.75, valence 0.5] so" if label else "[valence 0.5] so"
    assert head in (tmp_path / "a.srt").read_text()
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["targets"]["valence"]["value"] == 0.5


def test_a_bundle_without_classes_exports_none(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(MerError, match="this bundle predicts targets alone"):
        export_onnx(load_bundle(alone).classifier, tmp_path / "c.onnx")
    assert not (tmp_path / "c.onnx").exists()


def test_the_export_of_classes_says_that_targets_stay(both: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    done = CliRunner().invoke(app, ["bundle", "onnx", str(tmp_path / "c.onnx"), "--bundle", str(both)])
    assert done.exit_code == 0, done.output
    assert "without the targets valence, arousal" in done.stderr


def test_a_bundle_tells_its_targets(trained: Path) -> None:
    told = CliRunner().invoke(app, ["bundle", "show", str(trained)]).output
    assert "targets    arousal, valence" in told
