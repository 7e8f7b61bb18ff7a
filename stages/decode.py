"""Stage decode: audio and frames of every clip into the shard cache, and data/manifests/decode.parquet to find them."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.decode import decode_corpus
from mer.params import Params
from mer.running.needed import is_needed
from mer.running.stage import note_work, run


def decode(params: Params) -> None:
    clips = read_clips("data/clips.parquet")
    root, wanted = Path(params.corpus.root), is_needed("media")
    note_work("decode", decode=decode_corpus(clips, root, params.decode, params.compute, wanted=wanted))


if __name__ == "__main__":
    run(decode)
