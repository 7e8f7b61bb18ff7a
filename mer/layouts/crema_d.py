"""CREMA-D (Cao et al., IEEE Trans. Affective Computing 2014), its repository as it is cloned.

VideoFlash/1001_DFA_ANG_XX.flv    actor, sentence, emotion that was to be acted, its intensity
AudioWAV/1001_DFA_ANG_XX.wav      likewise; taken where the video is not there

Each lies in `corpus.root` or one folder below; without these folders, files of such names are taken wherever they lie.
The group is the actor. Where git-lfs did not fetch the files, what lies there are stubs, and the reading says so.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import find, media_files, stem
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.media.stubs import is_stub
from mer.params import CorpusParams

NAME = re.compile(r"(\d{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(XX?|LO|MD|HI)", re.IGNORECASE)
"""One file has long been named with a single X."""
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
FOLDERS = ("VideoFlash", "AudioWAV", "AudioMP3")
"""In the order in which they are preferred."""
BROKEN = {
    "1076_MTI_NEU_XX": "has no sound",
    "1076_MTI_SAD_XX": "has neither sound nor face",
    "1064_TIE_SAD_XX": "has no length",
    "1064_IEO_DIS_MD": "holds several emotions, in a minute",
}
"""Clips that users have reported to the owners (issue 8 of CheyneyComputerScience/CREMA-D)."""
NAMING = Naming(tuple(EMOTIONS.values()), EMOTIONS)


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read CREMA-D.

    Raises:
        MerError: what lies there are stubs of git-lfs and nothing else.
    """
    root = Path(params.root)
    notes = Notes()
    files, stubs = _files(root, notes)
    if stubs and not files:
        raise MerError(
            f"{root}: all {len(stubs)} files are stubs of git-lfs ({stubs[0]}), not sound or video: "
            "run `git lfs pull` in there, the archive that GitHub packs has no more"
        )
    clips = [_clip(name, path) for name, path in sorted(files.items())]
    for name in sorted(files):
        if name.upper() in BROKEN:
            notes.add("broken", f"{name} {BROKEN[name.upper()]}")
    return make_corpus(clips, params, NAMING, notes)


def _files(root: Path, notes: Notes) -> tuple[dict[str, str], list[str]]:
    """The best file of each name, and all stubs."""
    files: dict[str, str] = {}
    stubs = []
    folders = [where for folder in FOLDERS if (where := find(root, folder))]
    for where in folders or [""]:
        for path in media_files(root, where, recursive=not folders):
            if NAME.fullmatch(stem(path)) is None:
                notes.add("extra", path)
            elif is_stub(root / path):
                stubs.append(path)
                notes.add("unreadable", f"{path} (a stub of git-lfs: run `git lfs pull`)")
            else:
                files.setdefault(stem(path), path)
    return files, stubs


def _clip(name: str, path: str) -> Clip:
    actor, sentence, emotion, _ = name.split("_")
    return {
        "clip_id": name,
        "path": path,
        "split": "labeled",
        "label": emotion,
        "where": path,
        "group": actor,
        "transcript": SENTENCES.get(sentence.upper()),
    }


def speaker(name: str) -> str | None:
    """Who speaks in a recording of that name."""
    known = NAME.fullmatch(name)
    return known[1] if known else None
