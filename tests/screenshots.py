"""The pictures of pages in docs/, made from the last run: python -m tests.screenshots

Needs data/ of a finished run on the embedded corpus, the corpus itself, and a Chromium (see `tests.browser`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tests.browser import browser
from tests.serve.serving import serving

DOCS = Path("docs")
WIDE = {"width": 1200, "height": 900}
SENTENCE = "What is said"


def report(page: Any) -> None:
    """The confusion, the clips of one of its cells, and one of them opened."""
    page.goto(Path("data/report/index.html").resolve().as_uri())
    page.locator("[data-list]").first.wait_for()
    page.get_by_label("Show").select_option("predicted wrong")
    page.get_by_label("Order").select_option("most confident first")
    page.locator("#by-part").select_option("out of fold")
    page.locator(".card").first.click()
    page.get_by_role("dialog").wait_for()
    page.screenshot(path=DOCS / "report_clip.png")
    page.keyboard.press("Escape")
    page.locator("section", has=page.get_by_role("heading", name="Confusion")).scroll_into_view_if_needed()
    page.evaluate("document.querySelector('table.heat').closest('section').scrollIntoView()")
    page.screenshot(path=DOCS / "report.png")


def serve(page: Any, address: str) -> None:
    """The answer to a clip of the embedded corpus that has a face, sound and words."""
    texts = pd.read_parquet("data/corpus_text.parquet").set_index("clip_id")["transcript"].dropna()
    paths = pd.read_parquet("data/clips.parquet").set_index("clip_id")["path"]
    clip = next(one for one in texts.index if texts[one])
    page.goto(address)
    page.get_by_text("nothing is kept").wait_for()
    page.get_by_text("What is known of the clip").click()
    page.get_by_label(SENTENCE).fill(texts[clip])
    page.get_by_label("Drop a video or sound file here").set_input_files(Path("sample/corpus") / paths[clip])
    page.get_by_role("article").wait_for()
    page.screenshot(path=DOCS / "serve.png")


def main() -> None:
    said: list[str] = []
    with browser() as chromium:
        with chromium.page() as watched:
            watched.page.set_viewport_size(WIDE)
            report(watched.page)
            said += watched.complaints
        with serving(Path("data/models/bundle")) as running, chromium.page() as watched:
            watched.page.set_viewport_size({**WIDE, "height": 1150})
            serve(watched.page, running.address)
            said += watched.complaints
    print(json.dumps(said))


if __name__ == "__main__":
    main()
