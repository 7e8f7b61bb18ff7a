"""Make the embedded corpus: `python -m sample.make_corpus`, from the root of the repository."""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.running.needed import is_needed, leave_out
from sample.action_units import draw_resting_face, draw_tracks
from sample.face import draw_look
from sample.params import CorpusParams, load_params
from sample.phonemes import draw_boundaries, syllables
from sample.prosody import draw_prosody
from sample.room import draw_recording
from sample.scene import draw_poses, draw_scene, render
from sample.script import ClipScript, clip_rng, write_script
from sample.video import write_video
from sample.voice import RATE, draw_speaker, speak

# Random streams: of a clip, and of a speaker (who is no clip, so takes a number below the first one).
VOICE, FACE, SCENE = 1, 2, 3
SPEAKER_LOOK, SPEAKER_VOICE, SPEAKER_RESTING = 1000, 2000, 3000

NOTE = "Made by a program: nobody lives, feels or speaks in these clips.\n"
"""In a file `SYNTHETIC`: a bundle that learns from this corpus, or from a copy of it, says so (`mer.about`)."""


def make_corpus(params: CorpusParams, folder: Path) -> None:
    """Write all clips and tables to `folder` in the layout of the MER2024 challenge."""
    for split_folder in ("video-labeled", "video-unlabeled-with-test2noise"):
        (folder / split_folder).mkdir(parents=True, exist_ok=True)
    script = write_script(params)
    write_tables(script, folder)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(partial(make_clip, params, folder), script, chunksize=8):
            pass


def write_tables(script: Sequence[ClipScript], folder: Path) -> None:
    labeled = [clip for clip in script if clip.split == "labeled"]
    test = [clip for clip in script if clip.split == "test"]
    (folder / "SYNTHETIC").write_text(NOTE, encoding="utf-8")
    _write_csv(
        folder / "label-disdim.csv",
        ("name", "discrete", "valence"),
        ((clip.name, clip.label, clip.valence) for clip in labeled),
    )
    _write_csv(
        folder / "label-transcription.csv",
        ("name", "chinese", "english"),
        (
            (clip.name, clip.sentence.chinese, clip.sentence.english) if clip.has_text else (clip.name, "", "")
            for clip in script
        ),
    )
    _write_csv(folder / "candidate_20000.csv", ("name",), ((clip.name,) for clip in test))
    _write_csv(folder / "label-test.csv", ("name", "discrete"), ((clip.name, clip.label) for clip in test))


def make_clip(params: CorpusParams, folder: Path, clip: ClipScript) -> None:
    """Render and encode one clip."""
    cv2.setNumThreads(1)  # the clips are what runs in parallel
    waveform = make_sound(params, clip)
    frames = make_frames(params, clip, waveform)
    if clip.voice is None:
        waveform = np.zeros_like(waveform)
    place = "video-labeled" if clip.split == "labeled" else "video-unlabeled-with-test2noise"
    write_video(folder / place / f"{clip.name}.mp4", frames, params.fps, waveform, RATE)


def make_sound(params: CorpusParams, clip: ClipScript) -> NDArray[np.float32]:
    """The clip's speech [samples] at 16 kHz; a clip without a voice has the length that its sentence would take."""
    rng = clip_rng(params, clip.number, VOICE)
    speaker = draw_speaker(clip_rng(params, 0, SPEAKER_VOICE + clip.speaker))
    prosody = draw_prosody(rng, clip.voice)
    spoken = syllables(clip.sentence.chinese)
    boundaries, seconds = draw_boundaries(rng, len(spoken), speaker.rate * 2**prosody.rate, params.seconds)
    return draw_recording(rng, speak(rng, speaker, prosody, spoken, boundaries, seconds), params.voice)


def make_frames(params: CorpusParams, clip: ClipScript, waveform: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The clip's pictures [T, height, width, 3] in RGB; the mouth follows the waveform."""
    count = round(len(waveform) / RATE * params.fps)
    rng = clip_rng(params, clip.number, SCENE)
    scene = draw_scene(rng, params.width, params.height)
    poses = draw_poses(rng, count, params.width, params.height)
    if clip.face is None:
        return render(rng, scene, poses, None)
    look = draw_look(clip_rng(params, 0, SPEAKER_LOOK + clip.speaker))
    resting = draw_resting_face(clip_rng(params, 0, SPEAKER_RESTING + clip.speaker), params.face)
    rng_of_face = clip_rng(params, clip.number, FACE)
    tracks = draw_tracks(rng_of_face, clip.face, resting, loudness(waveform, count), params.fps, params.face)
    return render(rng, scene, poses, (look, tracks))


def loudness(waveform: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Root mean square in each of `frames` equal parts, relative to the loudest."""
    energy = np.array([np.sqrt(np.mean(part**2)) for part in np.array_split(waveform.astype(float), frames)])
    return energy / max(float(energy.max()), 1e-9)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    folder = Path("sample/corpus")
    if is_needed("corpus"):
        make_corpus(load_params().corpus, folder)
    else:
        leave_out(folder, "corpus")


if __name__ == "__main__":
    main()
