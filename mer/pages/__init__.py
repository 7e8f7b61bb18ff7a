"""What the report and the server's page share: one look at a clip, its style sheet, and how they come into a page.

Hand-written, shipped as package data, and built with `textContent` alone: no text of a stranger's file is ever markup.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files


def source(*names: str) -> str:
    """Style sheets or scripts of this folder, one after another.

    Scripts share one function's scope: nothing of theirs is global.
    """
    folder = files(__package__)
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    if all(name.endswith(".js") for name in names):
        return '(() => {\n"use strict";\n' + "\n".join(texts) + "})();\n"
    return "\n".join(texts)


def csp_hash(text: str) -> str:
    """How a content security policy names a script or style that stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
