"""How the names of a view meet those of a corpus: counts, and the one rule that explains why they do not."""

from __future__ import annotations

from typing import Any

import pytest

from mer.errors import MerError
from mer.imports import match

CLIPS = [f"sample_{number:04d}" for number in range(50)]


def test_the_same_names_say_nothing() -> None:
    assert match(CLIPS, CLIPS[::-1], "views.x") == []


def test_missing_and_spare_clips_are_counted() -> None:
    lines = match(CLIPS, [*CLIPS[2:], "other"], "views.x")
    assert lines == [
        "views.x: no features of 2 of 50 clips, the first is 'sample_0000'",
        "views.x: 1 of 49 names are no clip of the corpus, the first is 'other'",
    ]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda clip: f"train_{clip}", "names here have the prefix 'train_' beyond the others, 50 would match"),
        (lambda clip: f"{clip}_face", "names here have the ending '_face' beyond the others, 50 would match"),
        (
            lambda clip: clip.removeprefix("sample_"),
            "clips of the corpus have the prefix 'sample_' beyond the others, 50",
        ),
        (lambda clip: f"{clip}.mp4", "they differ in the ending of the file, 50 would match"),
        (lambda clip: f"videos/{clip}", "they differ in folders before the name, 50 would match"),
        (lambda clip: f"videos\\{clip}", "they differ in folders before the name, 50 would match"),
        (str.upper, "they differ in upper and lower case, 50 would match"),
        (lambda clip: f"sample_{int(clip[7:])}", "they differ in zeros before numbers, 50 would match"),
    ],
)
def test_names_that_differ_by_one_rule_are_told_it(change: Any, rule: str) -> None:
    with pytest.raises(MerError) as raised:
        match(CLIPS, [change(clip) for clip in CLIPS], "views.x")
    said = str(raised.value)
    assert said.startswith("views.x: none of its 50 clips is one of the corpus' 50: '")
    assert "' here, 'sample_0000' there; " in said
    assert rule in said
    assert "\n" not in said


def test_names_without_a_rule_are_shown() -> None:
    with pytest.raises(MerError) as raised:
        match(CLIPS, ["one", "two"], "views.x")
    assert str(raised.value) == "views.x: none of its 2 clips is one of the corpus' 50: 'one' here, 'sample_0000' there"


def test_a_rule_for_the_rest_is_told_too() -> None:
    lines = match(CLIPS, [*CLIPS[:10], *(clip.upper() for clip in CLIPS[10:])], "views.x")
    assert (
        "no features of 40 of 50 clips, the first is 'sample_0010'; they differ in upper and lower case, 40" in lines[0]
    )


def test_a_hundred_thousand_names_take_seconds() -> None:
    clips = [f"sample_{number:08d}" for number in range(130_000)]
    with pytest.raises(MerError, match="'train_' beyond the others, 130000 would match"):
        match(clips, [f"train_{clip}" for clip in clips], "views.x")
