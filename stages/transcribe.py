"""Stage transcribe: one text a clip, and where it came from, into data/transcripts.parquet."""

from mer.clips import read_clips
from mer.extraction.transcripts import transcribe_corpus, write_transcripts
from mer.params import Params
from mer.stage import run


def transcribe(params: Params) -> None:
    clips = read_clips("data/clips.parquet")
    write_transcripts("data/transcripts.parquet", transcribe_corpus(clips))


if __name__ == "__main__":
    run(transcribe)
