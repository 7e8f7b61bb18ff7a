"""The layout of the MER2024 challenge (Lian et al., 'MER 2024', MRAC 2024), as it is downloaded.

label-disdim.csv                  name, discrete, and perhaps valence
label-transcription.csv           name, chinese, english; may be missing
video-labeled/<name>.*
video-unlabeled-with-test2noise/<name>.*
candidate_20000.csv               name: the unlabeled clips that make the test split; may be missing
label-test.csv                    name, discrete: labels of test clips, once they are published; may be missing
"""

from __future__ import annotations

from pathlib import Path

from mer.layouts.base import Corpus, make_corpus
from mer.layouts.challenge import NAMING, labeled_clips, make_clip, read_test_split, read_transcripts
from mer.layouts.files import by_stem, media_files
from mer.params import CorpusParams

LABELED = "video-labeled"
UNLABELED = "video-unlabeled-with-test2noise"


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2024 folder; `prefer` names the column of label-transcription.csv to take.

    The test split is what candidate_20000.csv names, or without it what label-test.csv names.
    """
    root = Path(params.root)
    labeled = by_stem(media_files(root, LABELED))
    unlabeled = by_stem(media_files(root, UNLABELED))
    transcripts = read_transcripts(root / "label-transcription.csv", prefer, params)
    clips = labeled_clips(root, "label-disdim.csv", labeled, params, transcripts)
    test, test_labels = read_test_split(root / "candidate_20000.csv", root / "label-test.csv", unlabeled, params)
    for name, path in unlabeled.items():
        split = "test" if name in test else "unlabeled"
        clips.append(make_clip(name, path, split, transcripts, params, test_labels.get(name)))
    return make_corpus(clips, params, NAMING, test_order=test_labels)
