"""Stage extract_face: face features of every clip into data/features/face, detection rates into metrics/face.json."""

from mer.extraction.face import extract_face
from mer.extraction.media import open_media
from mer.links import link
from mer.params import Params
from mer.stage import note_work, run, write_json


def extract(params: Params) -> None:
    link("extract_face", params)
    media = open_media(params)
    report = extract_face(media, params.face, params.compute, media.place)
    write_json("metrics/face.json", report.detection)
    note_work("extract_face", face_crops=report.crops, face=report.features)


if __name__ == "__main__":
    run(extract)
