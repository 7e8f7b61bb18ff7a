"""Stage transcribe: one text a clip, and where it came from, into data/transcripts.parquet."""

from mer.clips import read_splits, read_texts
from mer.extraction.media import open_media
from mer.extraction.transcripts import transcribe_corpus
from mer.links import link
from mer.params import Params
from mer.running.stage import note_work, run


def transcribe(params: Params) -> None:
    link("transcribe", params)
    texts, media = read_texts("data/corpus_text.parquet"), open_media(params)
    splits = read_splits("data/splits.parquet")
    test = set(splits["clip_id"][splits["split"] == "test"])
    done = transcribe_corpus(texts, media, params.transcribe, params.compute, media.place, test)
    note_work("transcribe", speech_recognition=done)


if __name__ == "__main__":
    run(transcribe)
