"""The layout of the MER2023 challenge (Lian et al., 'MER 2023', ACM MM 2023), its archives unpacked.

train/<name>.*, train-label.csv   name, discrete, valence
test1/<name>.*, test1-label.csv   MER-MULTI
test2/<name>.*, test2-label.csv   MER-NOISE
test3/<name>.*, test3-label.csv   MER-SEMI: of its 73,982 clips 834 have a label
transcription.csv                 name, chinese, english; the challenge ships none, may be missing

Each lies in `corpus.root` or in the folder of its archive (`mer2023train/train`, `test-labels/test3-label.csv`). The
test set that `corpus.test` names makes the test split: the clips that its file has labels of, or without the file all
of them. Every other clip of a test set, where it is there, is unlabeled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mer.layouts.base import Corpus, make_corpus
from mer.layouts.challenge import NAMING, labeled_clips, make_clip, read_labels, read_transcripts
from mer.layouts.files import by_stem, find, locate, media_files
from mer.layouts.rows import Row
from mer.params import CorpusParams

TEST_SETS = ("test1", "test2", "test3")


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a MER2023 folder; `prefer` names the column of transcription.csv to take."""
    root = Path(params.root)
    train = _files(root, "train")
    transcripts = read_transcripts(root / "transcription.csv", prefer, params)
    clips = labeled_clips(root, locate(root, "train-label.csv"), train, params, transcripts)
    test_labels: dict[str, Row] = {}
    for test_set in TEST_SETS:
        wanted = test_set == params.test
        if not wanted and find(root, test_set) is None:
            continue
        files = _files(root, test_set)
        if wanted:
            test_labels = _published(root, test_set, files, params)
        for name, path in files.items():
            test = wanted and (name in test_labels or not test_labels)
            known = test_labels.get(name) if test else None
            clips.append(make_clip(name, path, "test" if test else "unlabeled", transcripts, params, known))
    return make_corpus(clips, params, NAMING, test_order=test_labels)


def _files(root: Path, folder: str) -> dict[str, str]:
    return by_stem(media_files(root, locate(root, folder)))


def _published(root: Path, test_set: str, files: Mapping[str, str], params: CorpusParams) -> dict[str, Row]:
    path = find(root, f"{test_set}-label.csv")
    return read_labels(root / path, files, params) if path else {}
