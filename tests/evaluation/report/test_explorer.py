"""The report's clips in a browser: a confusion cell lists its clips, a clip shows all that is known of it."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mer.evaluation.evaluated import evaluated_clips
from mer.evaluation.report import write_report
from mer.evaluation.report.changes import changes_against
from mer.evaluation.report.explored import Explored, choose_clips
from mer.evaluation.report.looks import BUDGET, SIZES, Look, _within, look_at, size_for, strip
from mer.media import encode
from mer.media.record import MediaRecord
from mer.params import EvaluateParams
from tests.browser import CONTRAST, TOO_WIDE, UNNAMED, browser
from tests.evaluation.conftest import CLASSES

EVIL = "<img src=x onerror=alert(1)>\"'</script><b>&\u2028"
EXPERTS = ("logistic fused", "mrccl audio")
MANY = tuple(f"family {at} fused" for at in range(21))


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def picture(seed: int, width: int = 64, height: int = 64) -> bytes:
    """A photograph's worth of texture, as JPEG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def look(seed: int, clips: int) -> Look:
    sound = np.sin(np.arange(16000) / 20).astype(np.float32) * np.linspace(0, 0.8, 16000, dtype=np.float32)
    frames = [picture(seed, 320, 180)]
    record = MediaRecord("", encode.flac(sound), frames, [0.0], 1.0, 320, 180, "", "")
    return look_at(record, [picture(seed + at) for at in range(5)], size_for(clips))


def explored_of(run, looks=None, experts=EXPERTS) -> Explored:
    rows, left_out = chosen(run)
    votes = pd.DataFrame(
        [
            {"clip_id": clip, "expert": expert, "weight": 0.5, **dict(zip(columns(), values, strict=True))}
            for clip in rows["clip_id"]
            for expert, values in zip(experts, cycle([(0.25, 0.5, 0.25), (0.125, 0.125, 0.75)]), strict=False)
        ]
    )
    unlabeled = rows.loc[rows["part"] == "unlabeled", "clip_id"]
    history = pd.DataFrame(
        {
            "clip_id": unlabeled,
            "fold": -1,
            "round": 1,
            "label": "happy",
            "confidence": 0.91,
            "weight": 1.0,
            "kept": True,
        }
    )
    if looks is None:
        looks = {clip: look(at, len(rows)) for at, clip in enumerate(rows["clip_id"][:30])}
    words = {rows["clip_id"][0]: [("good", 0.1, 0.3), ("morning", 0.35, 0.8)]}
    return Explored(rows, words, votes, history, looks, left_out)


def chosen(run):
    return choose_clips(evaluated_clips(run.predictions, run.clips, run.test_labels), run.predictions, run.clips)


def columns() -> list[str]:
    return [f"p_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write a page; its address."""

    def write(results) -> str:
        path = tmp_path_factory.mktemp("report") / "index.html"
        write_report(path, results)
        return path.as_uri()

    return write


@pytest.fixture
def whole(run, results):
    """A run with all that can be explored."""
    other = run.predictions.copy()
    other["predicted"] = "neutral"
    found = changes_against("seed 1", other, run.predictions, run.clips, run.test_labels, EvaluateParams(bootstrap=100))
    explored = explored_of(run)
    rows = explored.clips.assign(was="neutral")
    first = rows["clip_id"][0]
    fault = {"clip_id": first, "stage": "decode", "kind": "partial", "error": "short_video", "message": "half is lost"}
    quarantine = pd.concat([results.quarantine, pd.DataFrame([fault | {"path": "a.mp4", "sha256": "cd"}])])
    return replace(results, explored=replace(explored, clips=rows), changes=found, quarantine=quarantine)


def test_a_confusion_cell_lists_its_clips(chromium, written, whole, run):
    rows = whole.explored.clips
    mine = rows[(rows["part"] == "out_of_fold") & (rows["actual"] == "angry") & (rows["predicted"] == "happy")]
    assert len(mine)
    with chromium.page() as watched:
        watched.page.goto(written(whole))
        cell = watched.page.get_by_role("button", name=f"List {len(mine)} clips, actual angry, predicted happy").first
        cell.focus()
        watched.page.keyboard.press("Enter")
        shown = watched.page.locator(".cards .card b").all_text_contents()
        assert sorted(shown) == sorted(mine["clip_id"])
        said = watched.page.get_by_role("status").text_content()
        assert said == f"{len(mine)} of {len(rows)} clips, out of fold, actual angry, predicted happy."
        assert not watched.complaints


def test_a_clip_shows_all_that_is_known_of_it(chromium, written, whole):
    first = whole.explored.clips.iloc[0]
    with chromium.page() as watched:
        watched.page.goto(written(whole) + f"#clip={first['clip_id']}")
        dialog = watched.page.get_by_role("dialog")
        text = dialog.inner_text()
        for said in (first["clip_id"], "good", "0.35", "logistic fused", "0.75", "half is lost", "short_video"):
            assert said in text, said
        assert dialog.get_by_role("img", name="Waveform of 1.00 s").count() == 1
        sizes = dialog.locator("img").evaluate_all("all => all.map((one) => [one.naturalWidth, one.naturalHeight])")
        assert sizes == [[240, 135], [440, 88]]
        bars = dialog.locator(".bars .value").all_text_contents()
        assert bars == [f"{first[name]:.2f}" for name in columns()]
        assert not watched.complaints


def test_an_unlabeled_clip_shows_its_pseudo_labels(chromium, written, whole):
    rows = whole.explored.clips
    clip = rows.loc[rows["part"] == "unlabeled", "clip_id"].iloc[0]
    with chromium.page() as watched:
        watched.page.goto(written(whole) + f"#clip={clip}")
        table = watched.page.get_by_role("region", name="Pseudo-labels").inner_text().split("\n")
        assert table[1].split("\t") == ["1", "the bundle", "happy", "0.91", "kept"]


def test_what_changed_leads_to_its_clips(chromium, written, whole):
    counts = whole.changes.counts["out_of_fold"]
    rows = whole.explored.clips[whole.explored.clips["part"] == "out_of_fold"]
    broken = rows[(rows["actual"] == "neutral") & (rows["predicted"] != "neutral")]
    assert counts["broken"] == len(broken) > 0
    with chromium.page() as watched:
        watched.page.goto(written(whole))
        watched.page.get_by_role("button", name=f"List {counts['broken']} clips broken").first.click()
        assert sorted(watched.page.locator(".cards .card b").all_text_contents()) == sorted(broken["clip_id"])[:24]


def test_the_list_is_searched_ordered_and_turned(chromium, written, whole):
    rows = whole.explored.clips
    with chromium.page() as watched:
        page = watched.page
        page.goto(written(whole))
        page.get_by_label("Order").select_option("most confident first")
        most = [rows.loc[rows[columns()].max(axis=1).round(3).idxmax(), "clip_id"]]
        assert page.locator(".card b").all_text_contents()[:1] == most
        page.get_by_role("button", name="Next page").click()
        assert "25 to 48 are shown" in page.get_by_role("status").text_content()
        page.get_by_label("Clip, words or speaker").fill("CLIP_007")
        assert page.locator(".card b").all_text_contents() == ["clip_007"]
        page.get_by_label("Clip, words or speaker").fill("nothing is called so")
        assert page.get_by_role("status").text_content().startswith("0 of ")
        assert not watched.complaints


def test_the_keyboard_alone_is_enough(chromium, written, whole):
    with chromium.page() as watched:
        page = watched.page
        page.goto(written(whole))
        card = page.locator(".card").first
        card.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        first = dialog.get_by_role("heading", level=2).text_content()
        page.keyboard.press("ArrowRight")
        assert dialog.get_by_role("heading", level=2).text_content() != first
        page.keyboard.press("ArrowLeft")
        assert dialog.get_by_role("heading", level=2).text_content() == first
        page.keyboard.press("Escape")
        assert dialog.count() == 0
        assert page.evaluate("document.activeElement.className") == "card"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_it_can_be_read_anywhere(chromium, written, whole, dark, phone):
    first = whole.explored.clips["clip_id"][0]
    with chromium.page(dark=dark, phone=phone) as watched:
        page = watched.page
        page.goto(written(whole))
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(CONTRAST) == []
        page.goto(written(whole) + f"#clip={first}")
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(CONTRAST) == []
        assert page.locator("dialog").evaluate("one => one.scrollWidth - one.clientWidth") <= 0
        assert not watched.complaints


def test_hostile_names_are_shown_and_nothing_else(chromium, written, whole):
    rows = whole.explored.clips.copy()
    rows.loc[0, ["clip_id", "transcript", "group"]] = EVIL
    explored = replace(whole.explored, clips=rows, words={EVIL: [(EVIL, 0.0, 0.5)]})
    faults = whole.quarantine.assign(clip_id=EVIL, message=EVIL, error=EVIL)
    with chromium.page() as watched:
        page = watched.page
        page.on("dialog", lambda asked: watched.complaints.append(asked.message))
        page.goto(written(replace(whole, explored=explored, quarantine=faults)))
        page.get_by_label("Clip, words or speaker").fill("onerror")
        page.locator(".card").first.click()
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_role("heading", level=2).text_content() == EVIL
        assert page.locator("img[src=x]").count() == 0
        page.reload()
        assert dialog.get_by_role("heading", level=2).text_content() == EVIL
        assert not watched.complaints


def test_five_thousand_clips_fit_and_are_usable_at_once(chromium, written, results, make_run):
    run = make_run(labeled=4500, unlabeled=200, test=500)
    some = [look(seed, 5200) for seed in range(8)]
    rows = chosen(run)[0]
    looks = _within(((clip, some[at % len(some)]) for at, clip in enumerate(rows["clip_id"])), BUDGET)
    address = written(replace(results, clips=run.clips, explored=explored_of(run, looks, MANY)))
    size = Path(address.removeprefix("file://")).stat().st_size
    assert size < 30e6
    with chromium.page() as watched:
        page = watched.page
        began = time.monotonic()
        page.goto(address, wait_until="commit")
        page.locator(".card").nth(23).wait_for()
        usable = time.monotonic() - began
        pressed = page.evaluate(
            """() => {
                const began = performance.now();
                const field = document.getElementById("by-show");
                field.value = "wrong";
                field.dispatchEvent(new Event("change"));
                return performance.now() - began;
            }"""
        )
        page.locator(".card img").first.evaluate("one => one.decode()")
        assert not watched.complaints
    print(f"{size / 1e6:.1f} MB, usable after {usable:.2f} s, filtered in {pressed:.0f} ms")
    assert usable < 10
    assert pressed < 1000


def test_the_same_clips_give_the_same_bytes(whole, tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name, whole)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_page_that_would_be_too_large_loses_pictures_not_clips(capsys):
    looks = [(f"clip_{at}", look(at, 10)) for at in range(3)]
    found = _within(iter(looks), 2 * looks[0][1].characters + 4000)
    assert [bool(one.crops) for one in found.values()] == [True, True, False]
    assert found["clip_2"].peaks == looks[2][1].peaks
    assert "1 of 3 clips are shown without pictures" in capsys.readouterr().out


def test_more_clips_have_smaller_pictures():
    sizes = [size_for(clips) for clips in (1, *SIZES, 5000)]
    assert all(a.frame >= b.frame and a.crop >= b.crop for a, b in pairwise(sizes))
    crops = [picture(at) for at in range(9)]
    wide = cv2.imdecode(np.frombuffer(strip(crops, size_for(5000)), np.uint8), cv2.IMREAD_COLOR)
    assert wide.shape == (48, 3 * 48, 3)


def test_where_there_is_no_room_the_wrong_ones_are_shown(make_run, monkeypatch):
    from mer.evaluation.report import explored

    monkeypatch.setattr(explored, "MOST_EVALUATED", 10)
    monkeypatch.setattr(explored, "MOST_UNLABELED", 5)
    run = make_run(labeled=60, unlabeled=20, test=30)
    rows, left_out = chosen(run)
    scored = rows[rows["part"] != "unlabeled"]
    assert (scored["actual"] != scored["predicted"]).all()
    assert len(scored) == 10
    assert sum(left_out.values()) == 110 - 15
    assert left_out["unlabeled"] == 15
