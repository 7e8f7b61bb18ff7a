"""The layout of the MER2026 challenge, track 1 (MER-Cross), as it is downloaded.

video/<name>.*                    all clips, at any depth
track1_train.csv                  name, discrete: the emotion of who speaks
track1_track2_candidate.csv       name: the clips that make the test split; may be missing
track1_test.csv                   name, discrete: labels of test clips, once they are published; may be missing
subtitle_chieng.csv               name, chinese, english; may be missing

What else it ships (`audio/`, `openface_face/`) is made from the clips, and not read. The test asks for the emotion of
the listener: what is learned here is carried over to them, nothing is done to tell the two apart.
"""

from __future__ import annotations

from mer.layouts.base import Corpus
from mer.layouts.challenge import read_one_folder
from mer.params import CorpusParams


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2026 folder; `prefer` names the column of subtitle_chieng.csv to take."""
    return read_one_folder(
        params,
        prefer,
        train="track1_train.csv",
        candidates="track1_track2_candidate.csv",
        published="track1_test.csv",
    )
