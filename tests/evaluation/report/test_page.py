"""The report is one page that says what the run did, needs nothing else, and cannot be taken over by its content."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mer.evaluation.evaluated import evaluated_clips
from mer.evaluation.report import write_report
from mer.evaluation.report.explored import Explored, choose_clips
from mer.pages import csp_hash, source
from mer.params import parse_params

ROOT = Path(__file__).parents[3]
VOID = {"meta", "img", "line", "rect", "circle", "polyline"}


class Outline(HTMLParser):
    """Checks that tags are balanced, and collects text, attributes and tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    def write(results) -> str:
        write_report(tmp_path / "report" / "index.html", results)
        return (tmp_path / "report" / "index.html").read_text(encoding="utf-8")

    return write


def test_the_score_and_its_interval_are_on_the_page(page, results):
    text = Outline(page(results)).text
    values = results.metrics["out_of_fold"]
    assert f"{values['weighted_f1']:.3f}" in text
    assert f"{values['weighted_f1_low']:.3f} to {values['weighted_f1_high']:.3f}" in text
    for heading in ("Per class", "Confusion", "Confidently wrong", "Calibration", "Training curves", "Pseudo-labels"):
        assert heading in text


def test_nothing_is_fetched_and_nothing_is_run(page, results):
    outline = Outline(page(results))
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)
    assert "script-src" not in page(results)
    sources = [value for name, value in outline.attributes if name in ("src", "href")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "default-src 'none'" in page(results)
    assert not re.search(r"url\(|@import|https?://", page(results))


def test_of_scripts_the_policy_lets_only_the_pages_own_run(page, results, run):
    rows, left_out = choose_clips(
        evaluated_clips(run.predictions, run.clips, run.test_labels), run.predictions, run.clips
    )
    html = page(replace(results, explored=Explored(rows, left_out=left_out)))
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    running = [text for attributes, text in scripts if not attributes]
    assert running == [source("clip.js", "explorer.js")]
    assert [a for a, _ in scripts if a][:2] == [
        ' type="application/json" id="clips"',
        ' type="text/plain" id="pictures-0"',
    ]
    assert f"script-src {csp_hash(running[0])}; style-src" in html
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|https?://(?!www.w3.org)", html
    )


def test_the_stage_depends_on_all_that_the_page_is_made_of():
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]
    modules = [path.read_text() for path in (ROOT / "mer/evaluation/report").glob("*.py")]
    named = {name for text in modules for name in re.findall(r'"(\w+\.(?:css|js|html))"', text)} - {"index.html"}
    assert len(named) == 5
    assert {f"mer/pages/{name}" for name in named} <= set(stage["deps"])


def test_partial_rows_are_listed_beside_many_failed_ones(page, results):
    partial = results.quarantine.assign(kind="partial", message="half of it is lost")
    many = pd.concat([results.quarantine] * 250 + [partial], ignore_index=True)
    html = page(replace(results, quarantine=many))
    assert "half of it is lost" in html
    assert "The first 101 of 251 rows: 250 failed, 1 partial" in html


def test_text_from_the_corpus_cannot_become_markup(page, results):
    evil = '<script>alert("x")</script>&\'"><b>'
    hostile = replace(
        results,
        mistakes=results.mistakes.assign(clip_id=evil, transcript=evil, actual=evil),
        frames={},
        quarantine=results.quarantine.assign(message=evil, path=evil),
        params=parse_params({"corpus": {"root": evil}}),
    )
    outline = Outline(page(hostile))
    assert "script" not in outline.tags
    in_mistakes, in_quarantine, in_parameters = 3 * len(results.mistakes), 2, 2
    assert outline.text.count(evil) == in_mistakes + in_quarantine + in_parameters


def test_the_same_run_gives_the_same_bytes_wherever_it_ran(page, results):
    ran_on_ray = parse_params({**results.params.model_dump(), "compute": {"engine": "ray", "workers": 7}})
    assert page(results) == page(results) == page(replace(results, params=ran_on_ray))


def test_without_test_labels_only_the_out_of_fold_part_is_shown(page, results):
    metrics = {name: part for name, part in results.metrics.items() if name != "test"}
    plots = {name: points.iloc[:0] if name.endswith("_test") else points for name, points in results.plots.items()}
    text = Outline(page(replace(results, metrics=metrics, plots=plots))).text
    assert "Out of fold" in text
    assert "Test split" not in text


def test_a_run_with_nothing_to_tell_still_has_a_page(page, results):
    bare = replace(
        results,
        curves={"pretrain": pd.DataFrame()},
        rounds=pd.DataFrame(),
        pseudo_labels=pd.DataFrame(columns=["fold", "label"]),
        mistakes=results.mistakes.iloc[:0],
        frames={},
        quarantine=pd.DataFrame(),
    )
    text = Outline(page(bare)).text
    assert "No unlabeled clip was given a pseudo-label." in text
    assert "Every clip could be used whole." in text


def test_every_picture_says_in_words_what_it_shows(page, results):
    outline = Outline(page(results))
    labels = [value for name, value in outline.attributes if name == "aria-label"]
    assert outline.tags.count("svg") == 2 + 1 + 2
    assert "loss by epoch: from 2 to 1.25, between 1.25 and 2" in labels


def test_curves_of_several_members_are_averaged(page, results):
    members = pd.DataFrame({"fold": [0, 1, 0, 1], "seed": 0, "step": [10, 10, 20, 20], "loss": [3.0, 2.0, 1.0, 0.5]})
    outline = Outline(page(replace(results, curves={"self_train": members})))
    labels = [value for name, value in outline.attributes if name == "aria-label"]
    assert "loss by step: from 2.5 to 0.75, between 0.75 and 2.5" in labels
    assert not any("seed by step" in label for label in labels)


def test_parameters_that_were_changed_are_marked(page, results):
    assert '<th scope="row">corpus.folds</th><td><mark>3</mark></td>' in page(results)
    assert '<th scope="row">corpus.seed</th><td>0</td>' in page(results)


def test_pseudo_labels_are_counted_by_round_and_by_class(page, results):
    html = page(results)
    assert '<th scope="row">the bundle</th><td>1</td><td>2</td>' in html
    assert '<th scope="row">fold 0</th><td>1</td><td></td>' in html
    assert '<th scope="row">the bundle</th><td>0</td><td>1</td><td>1</td><td>2</td>' in html


def test_a_long_quarantine_is_cut_and_counted(page, results):
    many = pd.concat([results.quarantine] * 250, ignore_index=True)
    html = page(replace(results, quarantine=many))
    assert html.count("moov atom not found") == 100
    assert "The first 100 of 250 rows: 250 failed." in html


def test_clips_that_are_there_in_part_are_listed_after_those_that_failed(page, results):
    part = results.quarantine.assign(
        clip_id="half", kind="partial", error="no_sound", message="12 packets, none of which gave samples"
    )
    html = page(replace(results, quarantine=pd.concat([part, results.quarantine], ignore_index=True)))
    assert "2 rows: 1 failed, 1 partial." in html
    assert "<td>partial</td><td>no_sound</td><td>12 packets, none of which gave samples</td>" in html
    assert html.index("moov atom not found") < html.index("12 packets, none of which gave samples")


def test_views_are_ranked_with_what_the_best_pair_adds(results, tmp_path):
    write_report(tmp_path / "index.html", results)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(said in page for said in ("speech", "50.0%", "0.250 to 0.500", "speech + clip together", "+0.062"))


def test_scores_of_clips_that_were_learned_from_are_told_as_such(page, results):
    told = "Self-training learned from the features of 7 test clips (transductive)."
    assert told in Outline(page(replace(results, metrics=results.metrics | {"transductive_clips": 7}))).text
    assert "(transductive)" not in Outline(page(results)).text
