"""The layout of the MER2025 challenge (Lian et al., 'MER 2025', ACM MM 2025), track 1, as it is downloaded.

video/<name>.*                    all clips, at any depth
track1_train_disdim.csv           name, discrete, and perhaps valence
track_all_candidates.csv          name: the clips that make the test split; may be missing
track1_test_dis.csv               name, discrete: labels of test clips, once they are published; may be missing
subtitle_chieng.csv               name, chinese, english; may be missing

What else it ships (`audio/`, `openface_face/`) is made from the clips, and not read.
"""

from __future__ import annotations

from mer.layouts.base import Corpus
from mer.layouts.challenge import read_one_folder
from mer.params import CorpusParams


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2025 folder; `prefer` names the column of subtitle_chieng.csv to take."""
    return read_one_folder(
        params,
        prefer,
        train="track1_train_disdim.csv",
        candidates="track_all_candidates.csv",
        published="track1_test_dis.csv",
    )
