"""Whose text counts, and how it is stored."""

import pyarrow as pa
import pytest

from mer.encoders.asr.transcript import (
    SCHEMA,
    Chosen,
    Transcript,
    Word,
    from_record,
    joined,
    merge_transcripts,
    to_record,
)

HEARD = Transcript("wreck a nice beach", (Word("wreck", 0.1, 0.4), Word("a", 0.4, 0.5), Word("nice", 0.5, 0.9)))


@pytest.mark.parametrize(
    ("checked", "heard", "chosen"),
    [
        ("recognise speech", HEARD, Chosen("recognise speech", "corpus")),
        (" 你好 \n", None, Chosen("你好", "corpus")),
        ("", HEARD, Chosen("wreck a nice beach", "asr", HEARD.words)),
        (" \t", "heard only", Chosen("heard only", "asr")),
        (None, Transcript("  "), Chosen("", "none")),
        (None, None, Chosen("", "none")),
    ],
)
def test_checked_text_beats_asr_and_the_source_says_which_it_was(checked, heard, chosen):
    assert merge_transcripts([checked], [heard]) == [chosen]


def test_clips_are_merged_each_for_itself():
    assert [one.source for one in merge_transcripts(["a", None, None], [HEARD, HEARD, None])] == [
        "corpus",
        "asr",
        "none",
    ]
    with pytest.raises(ValueError, match="shorter"):
        merge_transcripts(["a", "b"], [HEARD])


def test_no_word_of_asr_is_mixed_into_checked_text():
    (chosen,) = merge_transcripts(["recognise speech"], [HEARD])
    assert not set(chosen.text.split()) & set(HEARD.text.split())
    assert chosen.words == ()  # the times of other words


def test_a_stored_transcript_is_the_same_transcript():
    heard = [HEARD, Transcript(""), Transcript("so", left_out=3)]
    table = pa.Table.from_pylist([to_record(one) for one in heard], schema=SCHEMA)
    assert [from_record(row) for row in table.to_pylist()] == heard


def test_parts_are_joined_in_order_and_shifted():
    later = HEARD.later(2.0)
    assert later.words[0] == Word("wreck", 2.1, 2.4)
    both = joined([HEARD, Transcript(""), later])
    assert both.text == "wreck a nice beach wreck a nice beach"
    assert [word.start for word in both.words] == [0.1, 0.4, 0.5, 2.1, 2.4, 2.5]
