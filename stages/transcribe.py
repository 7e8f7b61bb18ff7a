"""Stage transcribe: one text a clip, and where it came from, into data/transcripts.parquet."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.transcripts import transcribe_corpus
from mer.params import Params
from mer.stage import note_work, run
from mer.store.media import MediaFolder


def transcribe(params: Params) -> None:
    clips, media = read_clips("data/clips.parquet"), MediaFolder("data/media")
    report = transcribe_corpus(clips, media, params.transcribe, params.compute, Path("data/transcripts.parquet"))
    note_work("transcribe", speech_recognition=report)


if __name__ == "__main__":
    run(transcribe)
