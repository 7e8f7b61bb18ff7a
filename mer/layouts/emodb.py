"""The Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005) by its names, as it is downloaded.

wav/03a01Fa.wav     speaker 03, sentence a01, emotion F, take a; in any folder, any format

The group is the speaker.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import by_stem, media_files
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.params import CorpusParams

NAME = re.compile(r"(\d{2})([ab]\d{2})([WLEAFTN])([a-z])", re.IGNORECASE)
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
"""Wut, Langeweile, Ekel, Angst, Freude, neutral, Trauer."""
NAMING = Naming(tuple(EMOTIONS.values()), EMOTIONS)


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read EmoDB; its ten sentences carry no emotion and are left out."""
    notes = Notes()
    clips: list[Clip] = []
    for name, path in by_stem(media_files(Path(params.root), recursive=True)).items():
        known = NAME.fullmatch(name)
        if known is None:
            notes.add("extra", path)
            continue
        clips.append(
            {
                "clip_id": name,
                "path": path,
                "split": "labeled",
                "label": known[3].upper(),
                "group": known[1],
                "where": path,
            }
        )
    return make_corpus(clips, params, NAMING, notes)


def speaker(name: str) -> str | None:
    """Who speaks in a recording of that name."""
    known = NAME.fullmatch(name)
    return known[1] if known else None
