"""Stage extract_face: face features of every clip into data/features/face, detection rates into metrics/face.json."""

from pathlib import Path

from mer.clips import read_clips
from mer.extraction.face import extract_face
from mer.params import Params
from mer.stage import note_work, run, write_json
from mer.store.media import MediaFolder


def extract(params: Params) -> None:
    clips, media = read_clips("data/clips.parquet"), MediaFolder("data/media")
    report = extract_face(clips, media, params.face, params.compute, Path("data/features/face"))
    write_json("metrics/face.json", report.detection)
    note_work("extract_face", face_crops=report.crops, face=report.features)


if __name__ == "__main__":
    run(extract)
