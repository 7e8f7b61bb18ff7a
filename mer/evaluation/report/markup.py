"""HTML in small pieces. All but `Markup` is escaped: clip names and decoder messages come from strangers' files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(value: object) -> Markup:
    """The value as HTML, escaped unless it is markup."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def join(parts: Iterable[object]) -> Markup:
    """The parts one after another."""
    return Markup("\n".join(html(part) for part in parts))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """`<tag ...>content</tag>`; an attribute named `class_` is `class`, `aria_label` is `aria-label`."""
    given = "".join(f' {name.rstrip("_").replace("_", "-")}="{html(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{given}>{''.join(html(part) for part in content)}</{tag}>")


def section(title: str, *content: object, note: str = "", **attributes: object) -> Markup:
    """A section of the page with its heading and, under it, a sentence on how to read it."""
    lead = [element("p", note, class_="note")] if note else []
    return element("section", element("h2", title), *lead, join(content), **attributes)


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]], *, class_: str = "") -> Markup:
    """A table that scrolls sideways where it is wider than the screen; the first cell of a row heads it."""
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = (element("tr", element("th", row[0], scope="row"), *map(_cell, row[1:])) for row in rows)
    whole = element(
        "table", element("caption", caption), element("thead", top), element("tbody", join(body)), class_=class_
    )
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _cell(value: object) -> Markup:
    return value if isinstance(value, Markup) and value.startswith("<td") else element("td", value)


def share_cell(share: float, shown: object, *, class_: str, **attributes: object) -> Markup:
    """A cell whose background shows a share in [0, 1]; the style sheet says how."""
    return element("td", shown, class_=class_, style=f"--share:{share:.3f}", **attributes)


def list_of(**wanted: str) -> str:
    """What the page's script lists where an element with this as its `data-list` is pressed; see `explorer.js`."""
    return json.dumps(wanted, sort_keys=True)


def embedded(kind: str, id_: str, text: str) -> Markup:
    """Text that a script reads from the page and nothing runs; it must not hold markup: see `explored`."""
    return Markup(f'<script type="{kind}" id="{id_}">{text}</script>')
