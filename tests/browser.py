"""A headless Chromium for the tests that need one, which are skipped, with the reason, where there is none.

It is Debian's (`make browser`), or another that `MER_CHROMIUM` names; Playwright drives it and brings none of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def program() -> str | None:
    """Where a Chromium is."""
    named = os.environ.get("MER_CHROMIUM")
    return named or next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass
class Watched:
    """A page, and what it complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)


class Browser:
    """Opens pages and keeps what their consoles say."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    @contextmanager
    def page(self, *, phone: bool = False, dark: bool = False, **more: Any) -> Iterator[Watched]:
        """A fresh page; errors and warnings of its console and its own exceptions are kept."""
        context = self._chromium.new_context(
            viewport=PHONE if phone else DESKTOP, color_scheme="dark" if dark else "light", **more
        )
        try:
            watched = Watched(context.new_page())
            watched.page.set_default_timeout(20_000)
            watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
            watched.page.on(
                "console",
                lambda message: message.type in ("error", "warning") and watched.complaints.append(message.text),
            )
            yield watched
        finally:
            context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one the test is skipped, unless CI is to have it."""
    where = program()
    if where is None:
        assert not os.environ.get("MER_NEEDS_BROWSER"), "CI installs a Chromium and has none: see .ci/run"
        pytest.skip("no Chromium here: `make browser` installs Debian's")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=where, args=list(FLAGS))
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


CONTRAST = """() => {
  const colour = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const over = (top, under) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((at) => top[at] * a + under[at] * (1 - a));
  };
  const light = (rgb) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(colour(getComputedStyle(at).backgroundColor));
    return chain.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest("svg, script, style, noscript, [hidden], .hidden, :disabled")) continue;
    if (!node.checkVisibility()) continue;
    const back = behind(node);
    const front = over(colour(getComputedStyle(node).color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className}: ${node.textContent.trim()}`);
  }
  return poor;
}"""
"""Text whose contrast with what is behind it is below WCAG's 4.5."""

UNNAMED = """() => Array.from(document.querySelectorAll(
    "button, a[href], input:not([type=hidden]), select, textarea, img, audio, [role=img], dialog, [role=region]"))
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby")
    || node.hasAttribute("alt") || (node.labels && node.labels.length) || node.textContent.trim()))
  .map((node) => node.outerHTML.slice(0, 120))"""
"""Controls and pictures for which a screen reader has no name."""

TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return Array.from(document.querySelectorAll("body *"))
    .filter((node) => node.getBoundingClientRect().right > width && !node.parentElement.closest(".scroll"))
    .map((node) => `${node.tagName}.${node.className} ends at ${node.getBoundingClientRect().right} of ${width}`);
}"""
"""What makes a page wider than its window."""
