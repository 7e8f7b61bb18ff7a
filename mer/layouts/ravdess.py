"""RAVDESS (Livingstone and Russo, PLoS ONE 2018), its archives unpacked: all is in the names.

Video_Speech_Actor_01/Actor_01/01-01-06-01-02-01-12.mp4     in any folder

Seven numbers: modality (01 audio-video, 02 video, 03 audio), channel (01 speech, 02 song), emotion, intensity,
statement, repetition, actor (odd ones are male). Audio-video of speech is taken; audio alone where there is none. The
group is the actor.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, stem
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.params import CorpusParams

NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d{2})")
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
AUDIO_VIDEO, AUDIO, SPEECH = "01", "03", "01"
NAMING = Naming(tuple(EMOTIONS.values()), EMOTIONS)


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read RAVDESS; a name that lies in several folders is taken once."""
    notes = Notes()
    files: dict[str, dict[str, str]] = {AUDIO_VIDEO: {}, AUDIO: {}}
    for path in media_files(Path(params.root), recursive=True):
        known = NAME.fullmatch(stem(path))
        if known is None:
            notes.add("extra", path)
        elif known[2] != SPEECH or known[1] not in files:
            notes.add("passed over", path)
        elif (first := files[known[1]].setdefault(stem(path), path)) != path:
            notes.add("duplicated", f"{path}, as {first}")
    both = {name[2:] for name in files[AUDIO_VIDEO]}
    alone = {name: path for name, path in files[AUDIO].items() if name[2:] not in both}
    for name, path in files[AUDIO].items():
        if name not in alone:
            notes.add("passed over", path)
    clips = [_clip(name, path) for name, path in sorted({**files[AUDIO_VIDEO], **alone}.items())]
    actors = sorted({str(clip["group"]) for clip in clips})
    male = sum(int(actor) % 2 for actor in actors)
    notes.about.append(f"{len(actors)} actors: {male} male, {len(actors) - male} female")
    return make_corpus(clips, params, NAMING, notes)


def _clip(name: str, path: str) -> Clip:
    _, _, emotion, _, statement, _, actor = name.split("-")
    return {
        "clip_id": name,
        "path": path,
        "split": "labeled",
        "label": emotion,
        "where": path,
        "group": actor,
        "transcript": STATEMENTS[statement],
    }


def speaker(name: str) -> str | None:
    """Who speaks in a recording of that name."""
    known = NAME.fullmatch(name)
    return known[7] if known else None
