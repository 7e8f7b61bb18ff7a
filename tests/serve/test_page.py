"""The server's page in a browser: drop a clip, see the answer; by keyboard, in the dark, on a phone."""

from __future__ import annotations

import base64

import pytest

from mer.serve.limits import Limits
from mer.serve.listen import address
from tests.browser import CONTRAST, TOO_WIDE, UNNAMED, browser
from tests.bundles import TEXTS
from tests.serve.serving import serving

HAPPY = TEXTS["happy"]
EVIL = '<img src=x onerror=alert(1)>"&.mp4'
TOKEN = "a token of the test"

DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
    document.getElementById("drop").dispatchEvent(event);
  }
}"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def seeing(seeing_bundle):
    with serving(seeing_bundle) as found:
        yield found


def drop(page, film, name="astronaut.mp4"):
    page.evaluate(DROP, [base64.b64encode(film.read_bytes()).decode(), name])


def opened(page, running, transcript=HAPPY):
    page.goto(running.address)
    page.get_by_text("nothing is kept").wait_for()
    page.get_by_text("What is known of the clip").click()
    page.get_by_label("What is said").fill(transcript)


def test_a_dropped_clip_is_answered_with_all_that_it_shows(chromium, seeing, film):
    with chromium.page() as watched:
        page = watched.page
        opened(page, seeing)
        drop(page, film)
        answer = page.get_by_role("article", name="astronaut.mp4")
        answer.wait_for()
        assert answer.locator(".big").inner_text().split()[0] in TEXTS
        assert answer.get_by_role("img", name="Face at").count() == 3
        assert answer.get_by_role("img", name="A frame from the middle").count() == 1
        widths = answer.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth)")
        assert len(widths) == 4
        assert min(widths) >= 112
        assert answer.get_by_role("img", name="Waveform of").count() == 1
        assert answer.locator(".words").inner_text() == HAPPY
        rows = answer.get_by_role("region", name="modality").get_by_role("rowheader").all_text_contents()
        assert rows == ["face", "text", "fused"]
        said = page.get_by_role("status").text_content()
        assert said.startswith("astronaut.mp4: ")
        assert not seeing.left()
        assert watched.complaints == []


def test_a_timeline_is_shown_where_it_is_asked_for(chromium, seeing, film, by_level):
    with chromium.page() as watched:
        page = watched.page
        opened(page, seeing)
        page.get_by_label("Cut it into utterances").check()
        drop(page, film)
        table = page.get_by_role("region", name="Timeline").locator("table")
        table.wait_for()
        assert table.get_by_role("row").count() == 2
        assert page.get_by_role("img", name="1 utterances in 1.0").count() == 1
        assert page.evaluate(UNNAMED) == []
        assert watched.complaints == []


def test_targets_are_shown_beside_classes_and_alone(chromium, target_bundle, film):
    with serving(target_bundle) as running, chromium.page() as watched:
        page = watched.page
        opened(page, running)
        drop(page, film)
        answer = page.get_by_role("article", name="astronaut.mp4")
        answer.wait_for()
        cells = answer.get_by_role("region", name="Targets").locator("tbody tr").locator("th, td").all_text_contents()
        assert cells[0] == "valence"
        value, low, high = map(float, cells[1:])
        assert low < 2 < high
        classes = running.ask("/api/about").json["classes"]
        assert bool(answer.get_by_role("region", name="modality").count()) == bool(classes)
        assert answer.locator(".big").inner_text().split()[0] == ("happy" if classes else "valence")
        said = page.get_by_role("status").text_content()
        assert f"valence {value:g}" in said
        assert "null" not in page.locator("body").inner_text()
        assert page.evaluate(UNNAMED) == []
        assert watched.complaints == []


def test_the_keyboard_alone_is_enough(chromium, seeing, film):
    with chromium.page() as watched:
        page = watched.page
        page.goto(seeing.address)
        page.get_by_text("nothing is kept").wait_for()
        visited = []
        for _ in range(6):
            page.keyboard.press("Tab")
            visited.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert visited[:4] == ["file", "film", "voice", "What is known of the clip"]
        page.get_by_text("What is known of the clip").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type(HAPPY)
        page.keyboard.press("Enter")  # sends no form and leaves no page
        page.get_by_label("Drop a video or sound file here").set_input_files(film)
        page.get_by_role("article").wait_for()
        assert page.evaluate("document.activeElement.tagName + document.activeElement.textContent") == "H2astronaut.mp4"
        assert watched.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_it_can_be_read_anywhere(chromium, seeing, film, dark, phone):
    with chromium.page(dark=dark, phone=phone) as watched:
        page = watched.page
        opened(page, seeing)
        drop(page, film, "a_name_of_a_file_that_is_much_longer_than_a_phone_is_wide_and_has_no_spaces.mp4")
        page.get_by_role("article").wait_for()
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(CONTRAST) == []
        assert watched.complaints == []


def test_a_recorded_clip_is_answered(chromium, seeing):
    with chromium.page(permissions=["camera", "microphone"]) as watched:
        page = watched.page
        opened(page, seeing)
        page.get_by_role("button", name="Record video").click()
        page.get_by_label("What the camera sees").wait_for()
        page.wait_for_timeout(1500)
        page.keyboard.press("Enter")  # on the button to stop, which has the focus
        page.get_by_role("article", name="recording.webm").wait_for()
        assert not page.get_by_label("What the camera sees").is_visible()
        assert watched.complaints == []


def test_a_file_that_is_no_media_is_told_in_words(chromium, seeing, tmp_path):
    (tmp_path / EVIL.replace("/", "")).write_bytes(b"nothing")
    with chromium.page() as watched:
        page = watched.page
        page.on("dialog", lambda asked: watched.complaints.append(asked.message))
        opened(page, seeing)
        page.get_by_label("Drop a video or sound file here").set_input_files(tmp_path / EVIL)
        alert = page.get_by_role("alert")
        alert.wait_for()
        assert alert.text_content().startswith(f"{EVIL}: ")
        assert page.locator("img[src=x]").count() == 0
        assert page.get_by_role("article").count() == 0
        # The browser itself notes an answer of 422; nothing else.
        assert [one for one in watched.complaints if "422" not in one] == []


def test_words_with_markup_stay_words(chromium, seeing, film):
    with chromium.page() as watched:
        page = watched.page
        page.on("dialog", lambda asked: watched.complaints.append(asked.message))
        opened(page, seeing, EVIL)
        drop(page, film, EVIL)
        answer = page.get_by_role("article")
        answer.wait_for()
        assert answer.get_by_role("heading", level=2).text_content() == EVIL
        assert answer.locator(".words").inner_text() == EVIL
        assert page.locator("img[src=x]").count() == 0
        assert watched.complaints == []


def test_a_file_that_is_too_large_is_not_even_sent(chromium, bundle, tmp_path):
    (tmp_path / "large.mp4").write_bytes(b"\0" * (2 * 2**20))
    with serving(bundle, Limits(megabytes=1)) as running, chromium.page() as watched:
        page = watched.page
        page.goto(running.address)
        page.get_by_text("nothing is kept").wait_for()
        page.get_by_label("Drop a video or sound file here").set_input_files(tmp_path / "large.mp4")
        assert page.get_by_role("alert").text_content() == "large.mp4 is larger than 1 MiB."
        assert running.server.counts.received == 0
        assert watched.complaints == []


def test_the_token_comes_behind_the_address_or_by_hand(chromium, bundle):
    with serving(bundle, token=TOKEN) as running, chromium.page() as watched:
        page = watched.page
        page.goto(running.address)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_label("Token").press("Tab")
        page.get_by_text("nothing is kept").wait_for()
        assert not page.get_by_label("Token").is_visible()
        other = page.context.new_page()
        other.goto(address("127.0.0.1", running.port, TOKEN))
        other.get_by_text("nothing is kept").wait_for()
        assert "token" not in other.url


def test_a_browser_that_goes_away_leaves_nothing(chromium, seeing, film, monkeypatch):
    import time

    from mer.media.sandbox import Sandbox

    own = Sandbox.decode
    monkeypatch.setattr(Sandbox, "decode", lambda self, path: time.sleep(3) or own(self, path))
    with chromium.page() as watched:
        opened(watched.page, seeing)
        drop(watched.page, film)
        watched.page.get_by_text("Looking at astronaut.mp4").wait_for()
        watched.page.get_by_role("button", name="Cancel").click()
        assert watched.page.get_by_role("status").text_content() == "Cancelled."
        drop(watched.page, film)
        watched.page.get_by_text("Looking at astronaut.mp4").wait_for()
    assert seeing.idle()
    assert not seeing.left()
