"""Stage crop_faces: crops of the main face into the shard cache, for all face views; rates into metrics/face.json."""

from mer.extraction.crops import crop_faces
from mer.extraction.media import open_media
from mer.links import link
from mer.params import Params
from mer.running.needed import is_needed
from mer.running.stage import note_work, run, write_json


def crop(params: Params) -> None:
    link("crop_faces", params)
    report = crop_faces(open_media(params), params.faces, params.compute, wanted=is_needed("faces"))
    write_json("metrics/face.json", report.detection)
    note_work("crop_faces", face_crops=report.crops)


if __name__ == "__main__":
    run(crop)
