"""Which params decide a result, and which only say how, where and within what limits it is computed."""

from __future__ import annotations

from typing import Any

from mer.params import Section

SHARES = ("max_failed", "max_lost")
LIMITS = ("timeout_seconds", "memory_mb")
NAMES = ("modality",)
MACHINERY = ("device", "batch_seconds", "batch_frames", "batch_tokens", "batch_windows")


def deciding(section: Section) -> dict[str, Any]:
    """The params of a section that decide what a clip gets, as plain values of JSON."""
    return section.model_dump(mode="json", exclude={*SHARES, *LIMITS, *NAMES, *MACHINERY})
