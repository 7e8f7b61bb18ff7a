import dataclasses

import av
import cv2
import numpy as np
import pytest

from mer.about import is_synthetic
from sample.make_corpus import make_clip, make_frames, make_sound, write_tables
from sample.script import write_script
from sample.video import read_audio


@pytest.fixture(scope="module")
def script(params):
    return write_script(params)


def in_corpus(folder, clip):
    place = "video-labeled" if clip.split == "labeled" else "video-unlabeled-with-test2noise"
    (folder / place).mkdir(parents=True, exist_ok=True)
    return folder / place / f"{clip.name}.mp4"


def test_a_clip_is_the_same_bytes_every_time(params, script, tmp_path):
    files = [in_corpus(tmp_path / run, script[0]) for run in ("first", "second")]
    for file in files:
        make_clip(params, file.parents[1], script[0])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_clip_is_h264_and_aac_of_the_size_and_length_asked_for(params, script, tmp_path):
    file = in_corpus(tmp_path, script[1])
    make_clip(params, tmp_path, script[1])
    with av.open(str(file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height) == (params.width, params.height)
        assert params.seconds[0] - 0.1 < container.duration / av.time_base < params.seconds[1] + 0.1


def test_a_clip_without_voice_is_digital_silence(params, script, tmp_path):
    silent = dataclasses.replace(script[2], voice=None)
    file = in_corpus(tmp_path, silent)
    make_clip(params, tmp_path, silent)
    assert not read_audio(file).any()


def test_opencv_finds_the_face_where_there_is_one(params, script):
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = {True: [], False: []}
    faceless = [clip for clip in script if clip.face is None][:4]
    for clip in [clip for clip in script if clip.face is not None][:16] + faceless:
        for frame in make_frames(params, clip, make_sound(params, clip))[::5]:
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            hits = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(48, 48))
            found[clip.face is not None].append(len(hits) > 0)
    assert np.mean(found[True]) > 0.9
    assert not any(found[False])


def test_tables_have_the_challenge_layout_and_keep_test_labels_apart(script, tmp_path):
    write_tables(script, tmp_path)
    lines = {file.name: file.read_text(encoding="utf-8").splitlines() for file in tmp_path.glob("*.csv")}
    assert lines["label-disdim.csv"][0] == "name,discrete,valence"
    assert lines["label-transcription.csv"][0] == "name,chinese,english"
    names = {split: {clip.name for clip in script if clip.split == split} for split in ("labeled", "unlabeled", "test")}
    assert {line.split(",")[0] for line in lines["label-disdim.csv"][1:]} == names["labeled"]
    assert set(lines["candidate_20000.csv"][1:]) == names["test"]
    assert {line.split(",")[0] for line in lines["label-test.csv"][1:]} == names["test"]
    assert len(lines["label-transcription.csv"]) == 1 + len(script)
    assert is_synthetic(tmp_path)
