"""Timelines: utterances where somebody speaks, smoothed, in the forms that annotators use."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from mer.cli import app
from mer.encoders.asr import voice
from mer.encoders.asr.transcript import Word
from mer.errors import MerError
from mer.prediction import timeline as film_timeline
from mer.prediction import utterances
from mer.prediction.answer import Prediction
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.tiers import FORMS, write
from mer.prediction.timeline import Utterance, smooth
from mer.prediction.utterances import Cutting, listen, read_span, spans
from tests.bundles import text_bundle
from tests.prediction.test_recogniser import listening

RATE = 16000
SPOKEN = [(1.0, 3.0), (3.3, 4.0), (6.0, 6.1), (8.0, 11.5), (58.0, 63.0), (70.0, 118.0)]
"""Two sounds a short pause apart, a click, one alone, one across a stretch's end, and one longer than an utterance."""


def sound(seconds: float = 130.0) -> np.ndarray:
    waveform = 1e-4 * np.random.default_rng(0).normal(size=130 * RATE)
    for start, end in SPOKEN:
        part = slice(round(start * RATE), round(end * RATE))
        waveform[part] += 0.3 * np.sin(2 * np.pi * 200 * np.arange(part.stop - part.start) / RATE)
    return waveform.astype(np.float32)[: round(seconds * RATE)]


@pytest.fixture(autouse=True)
def by_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector that hears a tone as speech."""
    monkeypatch.setattr(utterances, "detector", lambda: ("level", voice.by_level))


def cut(
    waveform: np.ndarray, tmp_path: Path, stretch: float = 60.0, cutting: Cutting = Cutting()
) -> list[tuple[float, float]]:
    step = round(stretch * RATE)
    with (tmp_path / "spool").open("w+b") as spool:
        found = listen((waveform[at : at + step] for at in range(0, len(waveform), step)), spool)
        return spans(found, cutting, len(waveform) / RATE)


def test_utterances_are_where_somebody_speaks(tmp_path: Path) -> None:
    found = cut(sound(), tmp_path)
    assert found[0] == pytest.approx((0.9, 4.1), abs=0.05)
    assert found[1] == pytest.approx((7.9, 11.6), abs=0.05)
    assert found[2] == pytest.approx((57.9, 63.1), abs=0.05)
    assert (found[3][0], found[-1][1]) == pytest.approx((69.9, 118.1), abs=0.05)
    assert all(end - start <= 15.3 for start, end in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))


@pytest.mark.parametrize("stretch", [7.0, 13.37, 61.0001])
def test_where_a_stretch_ends_moves_no_utterance_by_much(stretch: float, tmp_path: Path) -> None:
    waveform = sound()
    ours, usual = cut(waveform, tmp_path, stretch), cut(waveform, tmp_path)

    def covered(found: list[tuple[float, float]]) -> np.ndarray:
        times = np.arange(0, 130, 0.02)
        return np.any([(times >= start) & (times < end) for start, end in found], axis=0)

    a, b = covered(ours), covered(usual)
    assert (a & b).sum() / (a | b).sum() > 0.97


def test_the_samples_of_a_span_are_those_of_the_film(tmp_path: Path) -> None:
    waveform = sound(20.0)
    with (tmp_path / "spool").open("w+b") as spool:
        listen(iter([waveform[:70001], waveform[70001:]]), spool)
        np.testing.assert_array_equal(read_span(spool, (4.0, 5.5)), waveform[4 * RATE : 4 * RATE + 24000])


def test_windows_cover_a_film_whatever_is_said(tmp_path: Path) -> None:
    assert cut(sound(10.0), tmp_path, cutting=Cutting(window=4.0)) == [(0.0, 4.0), (4.0, 8.0), (8.0, 10.0)]
    assert cut(np.zeros(0, np.float32), tmp_path) == []
    with pytest.raises(MerError, match="--window 0"):
        Cutting(window=0)


def test_a_silent_film_has_no_utterance(tmp_path: Path) -> None:
    assert cut(np.zeros(5 * RATE, np.float32), tmp_path) == []


def said(p: float, error: str | None = None) -> Prediction:
    if error is not None:
        return Prediction("f.mp4", None, {}, {}, error)
    return Prediction(
        "f.mp4", "a" if p > 0.5 else "b", {"a": p, "b": 1 - p}, {"audio": True}, transcript='so "he" said'
    )


def test_smoothing_is_the_weighted_mean_of_what_is_near() -> None:
    spans_ = [(0.0, 2.0), (2.0, 3.0), (3.0, 4.0), (100.0, 101.0)]
    voted = [said(0.9), said(0.1), said(0, "silent"), said(0.2)]
    found = smooth(spans_, voted, 2.0)
    weights = np.array([2.0 * np.exp(-0.5 * (1.5 / 2) ** 2), 1.0])
    assert found[1] == pytest.approx(
        {"a": weights @ [0.9, 0.1] / weights.sum(), "b": weights @ [0.1, 0.9] / weights.sum()}
    )
    assert found[2] is None
    assert found[3] == pytest.approx({"a": 0.2, "b": 0.8})
    assert smooth(spans_, voted, 0.0)[1] == {"a": 0.1, "b": 0.9}


def rows() -> list[Utterance]:
    words = (Word("so", 1.0, 1.4), Word('"he"', 1.3, 1.8), Word("said", 1.8, 1.8))
    return [
        Utterance(1.0, 2.5, said(0.9), words, {"a": 0.8, "b": 0.2}),
        Utterance(3.0, 4.0, said(0, "silent")),
        Utterance(3661.0, 3662.25, said(0.1), (), {"a": 0.3, "b": 0.7}),
    ]


@pytest.mark.parametrize("ending", FORMS)
def test_each_form_has_the_same_bytes_twice_and_leaves_nothing_else(ending: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / f"{name}{ending}", rows(), "f.mp4")
        write(tmp_path / f"none{ending}", [], "f.mp4")
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_subtitles(tmp_path: Path) -> None:
    write(tmp_path / "a.srt", rows(), "f.mp4")
    assert (tmp_path / "a.srt").read_text() == (
        '1\n00:00:01,000 --> 00:00:02,500\n[a 0.80] so "he" said\n\n'
        '2\n01:01:01,000 --> 01:01:02,250\n[b 0.70] so "he" said\n'
    )
    write(tmp_path / "a.vtt", rows(), "f.mp4")
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n[a 0.80]")


def test_elan_tiers_refer_to_time_slots_that_exist(tmp_path: Path) -> None:
    write(tmp_path / "a.eaf", rows(), "f.mp4")
    root = ElementTree.parse(tmp_path / "a.eaf").getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "-1")) for slot in root.iter("TIME_SLOT")}
    found = {
        tier.get("TIER_ID"): [
            (slots[one.get("TIME_SLOT_REF1")], slots[one.get("TIME_SLOT_REF2")], one.findtext("ANNOTATION_VALUE"))
            for one in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in root.iter("TIER")
    }
    assert found["emotion"] == [(1000, 2500, "a"), (3661000, 3662250, "b")]
    assert found["words"] == [(1000, 1400, "so"), (1400, 1800, '"he"')]
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} == {"default-lt"}


def test_praat_intervals_leave_no_gap(tmp_path: Path) -> None:
    write(tmp_path / "a.TextGrid", rows(), "f.mp4")
    text = (tmp_path / "a.TextGrid").read_text()
    for tier in text.split("    item [")[1:]:
        size = int(re.search(r"intervals: size = (\d+)", tier)[1])
        starts = [float(x) for x in re.findall(r" {12}xmin = ([\d.]+)", tier)]
        stops = [float(x) for x in re.findall(r" {12}xmax = ([\d.]+)", tier)]
        assert size == len(starts) == len(stops)
        assert starts[0] == 0
        assert stops[-1] == 3662.25
        assert starts[1:] == stops[:-1]
        assert all(start < stop for start, stop in zip(starts, stops, strict=True))
    assert 'text = "so ""he"" said"' in text


def test_a_timeline_of_a_file_by_the_command(bundle: Path, tmp_path: Path) -> None:
    """A bundle of text alone has nothing to go by where no recogniser listens: rows say so, and files are whole."""
    soundfile.write(tmp_path / "film.wav", sound(20.0), RATE)
    outs = [tmp_path / f"a{ending}" for ending in FORMS]
    arguments = ["predict", str(tmp_path / "film.wav"), "--bundle", str(bundle), "--timeline"]
    done = CliRunner().invoke(app, [*arguments, *(part for out in outs for part in ("--out", str(out)))])
    assert done.exit_code == 0, done.output
    with (tmp_path / "a.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2
    assert "nothing to go by" in table[0]["error"]
    assert len(json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["error"]) > 0
    refused = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a.doc")])
    assert "the ending of a timeline is one of" in str(refused.exception)
    gone = CliRunner().invoke(app, ["predict", "nope.wav", "--bundle", str(bundle), "--timeline"])
    assert gone.exit_code == 1
    assert "nope.wav: No such file" in gone.stderr


@pytest.mark.parametrize(("which", "most"), [("bundle", 32), ("group_bundle", 40)])
def test_features_of_a_long_film_are_held_for_a_block_alone(
    which: str, most: int, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of forty windows; where clips are standardised within groups, all of the film count."""
    soundfile.write(tmp_path / "film.wav", sound(20.0), RATE)
    sizes: list[int] = []
    vote = film_timeline.predictions
    monkeypatch.setattr(film_timeline, "predictions", lambda b, s, f: (sizes.append(len(f)), vote(b, s, f))[1])
    file = str(tmp_path / "film.wav")
    found = film_timeline.timeline(Predictor(request.getfixturevalue(which)), Source(file, file), Cutting(window=0.5))
    assert (len(found), max(sizes), sum(sizes)) == (40, most, 40)
    assert [one.start for one in found] == [i / 2 for i in range(40)]


@pytest.mark.parametrize("smoothing", [0.0, 5.0])
def test_an_utterance_gets_the_class_that_the_bundle_chooses(smoothing: float, bundle: Path, tmp_path: Path) -> None:
    """Where the classes' shares are left out, as of a clip; the likeliest class is another then."""
    predictor, _ = listening(bundle)
    shares = torch.tensor([0.1, 0.8, 0.1]).log()  # of happy, sad and angry
    vote = replace(predictor.classifier.vote, log_prior=shares, adjustment=torch.full([1], 20.0))
    predictor.classifier = replace(predictor.classifier, vote=vote)
    soundfile.write(tmp_path / "film.wav", sound(4.0), RATE)
    file = str(tmp_path / "film.wav")
    found = film_timeline.timeline(predictor, Source(file, file), Cutting(window=2.0), smoothing)
    [clip] = predictor.predict(file)
    assert {one.label for one in found} == {one.prediction.label for one in found} == {clip.label}
    assert max(found[0].smoothed, key=found[0].smoothed.get) != clip.label
    write(tmp_path / "a.srt", found, file)
    assert f"[{clip.label} {found[0].smoothed[clip.label]:.2f}]" in (tmp_path / "a.srt").read_text()


def test_a_bundle_that_knows_no_classes_chooses_none(tmp_path: Path) -> None:
    predictor, _ = listening(text_bundle(tmp_path, targets=("valence",), classes=False))
    soundfile.write(tmp_path / "film.wav", sound(4.0), RATE)
    file = str(tmp_path / "film.wav")
    found = film_timeline.timeline(predictor, Source(file, file), Cutting(window=2.0))
    assert [(one.label, set(one.prediction.targets)) for one in found] == [(None, {"valence"})] * 2
