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
from mer.layouts.challenge import CLASSES, labeled_clips, make_clip, read_test_split, read_transcripts
from mer.layouts.files import by_stem, media_files
from mer.params import CorpusParams

LABELED = "video-labeled"
UNLABELED = "video-unlabeled-with-test2noise"


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2024 folder; `prefer` names the column of label-transcription.csv to take.

    The test split is what candidate_20000.csv names, or without it what label-test.csv names.
    """
    root = Path(params.root)
    classes = params.classes or CLASSES
    labeled = by_stem(media_files(root, LABELED))
    unlabeled = by_stem(media_files(root, UNLABELED))
    transcripts = read_transcripts(root / "label-transcription.csv", prefer)
    clips = labeled_clips(root, "label-disdim.csv", labeled, classes, transcripts)
    test, test_labels = read_test_split(root / "candidate_20000.csv", root / "label-test.csv", unlabeled, classes)
    for name, path in unlabeled.items():
        clips.append(make_clip(name, path, "test" if name in test else "unlabeled", transcripts))
    return make_corpus(clips, test_labels, classes)
