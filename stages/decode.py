"""Stage decode: audio and frames of every clip into data/media, through the shard cache."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.decode import decode_corpus
from mer.params import Params
from mer.stage import run


def decode(params: Params) -> None:
    report = decode_corpus(
        read_clips("data/clips.parquet"),
        Path(params.corpus.root),
        params.decode,
        params.compute,
        media_out=Path("data/media"),
        quarantine_out=Path("data/quarantine/decode.parquet"),
    )
    print(report)


if __name__ == "__main__":
    run(decode)
