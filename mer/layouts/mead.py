"""MEAD (Wang et al., ECCV 2020), the archives of each speaker unpacked.

M003/video/front/angry/level_1/001.mp4    pictures without sound; other views than the front are passed over
M003/audio/angry/level_1/001.m4a          the sound of the same take

Each speaker lies in `corpus.root` or any folder below. A take's video and sound make one clip. The group is the
speaker.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.params import CorpusParams

PATH = re.compile(r"(?:.*/)?([MW]\d{3})/(?:(video)/([^/]+)|(audio))/([^/]+)/(level_\d)/(\d+)\.[^./]+")
FRONT = "front"
CLASSES = ("neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read MEAD; it has no transcripts."""
    notes = Notes()
    videos: dict[str, tuple[str, str, str]] = {}
    sounds: dict[str, tuple[str, str, str]] = {}
    for path in media_files(Path(params.root), recursive=True):
        known = PATH.fullmatch(normalise(path))
        if known is None:
            notes.add("extra", path)
            continue
        speaker, video, view, _, emotion, level, number = known.groups()
        if video and view.casefold() != FRONT:
            notes.add("passed over", path)
            continue
        takes = videos if video else sounds
        name = f"{speaker}_{emotion}_{level}_{number}"
        if (first := takes.setdefault(name, (path, speaker, emotion)))[0] != path:
            notes.add("duplicated", f"{path}, as {first[0]}")
    clips = [_clip(name, videos.get(name), sounds.get(name), notes) for name in sorted({*videos, *sounds})]
    return make_corpus(clips, params, Naming(CLASSES), notes)


def _clip(name: str, video: tuple[str, str, str] | None, sound: tuple[str, str, str] | None, notes: Notes) -> Clip:
    """A take: both files, or the one that there is."""
    known = video or sound
    assert known is not None
    path, speaker, emotion = known
    if video is None or sound is None:
        notes.add("missing", f"{name} (no {'sound' if sound is None else 'video of the front'})")
    return {
        "clip_id": name,
        "path": path,
        "split": "labeled",
        "label": emotion,
        "where": path,
        "group": speaker,
        "sound": sound[0] if video and sound else None,
    }
