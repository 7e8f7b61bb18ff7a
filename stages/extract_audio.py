"""Stage extract_audio: speech features of every clip into data/features/audio."""

from mer.extraction.audio import extract_audio
from mer.extraction.media import open_media
from mer.params import Params
from mer.stage import note_work, run


def extract(params: Params) -> None:
    media = open_media(params)
    note_work("extract_audio", audio=extract_audio(media, params.audio, params.compute, media.place))


if __name__ == "__main__":
    run(extract)
