"""Stage extract_text: text features of every clip into data/features/text."""

from pathlib import Path

from mer.clips import read_clips, read_splits
from mer.extraction.per_clip import Place
from mer.extraction.text import extract_text
from mer.extraction.transcript_table import read_transcripts
from mer.links import link
from mer.params import Params
from mer.stage import note_work, run


def extract(params: Params) -> None:
    link("extract_text", params)
    splits, texts = read_splits("data/splits.parquet"), read_transcripts("data/transcripts.parquet")
    place = Place(Path("data"), read_clips("data/clips.parquet"))
    note_work("extract_text", text=extract_text(splits, texts, params.text, params.compute, place))


if __name__ == "__main__":
    run(extract)
