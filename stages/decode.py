"""Stage decode: audio and frames of every clip into the shard cache, and data/manifests/decode.parquet to find them."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.decode import decode_corpus
from mer.params import Params
from mer.stage import note_work, run


def decode(params: Params) -> None:
    clips = read_clips("data/clips.parquet")
    note_work("decode", decode=decode_corpus(clips, Path(params.corpus.root), params.decode, params.compute))


if __name__ == "__main__":
    run(decode)
