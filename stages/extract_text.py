"""Stage extract_text: text features of every clip into data/features/text."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.text import extract_text
from mer.extraction.transcripts import read_transcripts
from mer.params import Params
from mer.stage import note_work, run


def extract(params: Params) -> None:
    clips, texts = read_clips("data/clips.parquet"), read_transcripts("data/transcripts.parquet")
    report = extract_text(clips, texts, params.text, params.compute, Path("data/features/text"))
    note_work("extract_text", text=report)


if __name__ == "__main__":
    run(extract)
