"""Stage extract_audio: speech features of every clip into data/features/audio."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.audio import extract_audio
from mer.params import Params
from mer.stage import note_work, run
from mer.store.media import MediaFolder


def extract(params: Params) -> None:
    clips, media = read_clips("data/clips.parquet"), MediaFolder("data/media")
    report = extract_audio(clips, media, params.audio, params.compute, Path("data/features/audio"))
    note_work("extract_audio", audio=report)


if __name__ == "__main__":
    run(extract)
