"""The layout of MELD (Poria et al., 'MELD: A Multimodal Multi-Party Dataset', ACL 2019), its archives unpacked.

train_sent_emo.csv                Utterance, Emotion, Dialogue_ID, Utterance_ID, and more; likewise dev and test
train_splits/dia<D>_utt<U>.mp4    or `train`
dev_splits_complete/              or `dev`
output_repeated_splits_test/      or `test`

Each lies in `corpus.root` or one folder below. Train and dev are labeled. The group is the dialogue. A row without a
file (dia110_utt7 of dev was never shipped) is passed over with a warning, a file without a row (left over from
cutting) is noted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import by_stem, locate, media_files
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.rows import Row, read_rows
from mer.params import CorpusParams

CLASSES = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
FOLDERS = {
    "train": ("train_splits", "train"),
    "dev": ("dev_splits_complete", "dev"),
    "test": ("output_repeated_splits_test", "test"),
}
"""Names of each part's folder: as it is shipped, and as others have renamed it."""
BROKEN = {
    "train_dia125_utt3": "does not open",
    "dev_dia110_utt7": "was never shipped",
    "train_dia309_utt0": "is wrongly cut",
    "test_dia38_utt4": "is wrongly cut: five minutes",
    "test_dia220_utt0": "is wrongly cut: four minutes",
}
"""Clips that users have reported to the owners (issues 20, 22, 27, 39 and 52 of declare-lab/MELD)."""

log = logging.getLogger(__name__)


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read MELD; its transcripts are English, so `prefer` has nothing to choose from."""
    root = Path(params.root)
    notes = Notes()
    clips: list[Clip] = []
    for part, folders in FOLDERS.items():
        for clip_id, path, row in _rows_with_files(root, part, folders, params.encoding, notes):
            clips.append(
                {
                    "clip_id": clip_id,
                    "path": path,
                    "split": "test" if part == "test" else "labeled",
                    "label": row["Emotion"],
                    "where": row.where,
                    "group": f"{part}_dia{row['Dialogue_ID']}",
                    "transcript": row["Utterance"] or None,
                }
            )
            if clip_id in BROKEN:
                notes.add("broken", f"{clip_id} {BROKEN[clip_id]}")
    return make_corpus(clips, params, Naming(CLASSES), notes)


def _rows_with_files(
    root: Path, part: str, folders: tuple[str, ...], encoding: str, notes: Notes
) -> Iterator[tuple[str, str, Row]]:
    """Clip id, path and row of each utterance of a part that has a file."""
    files = by_stem(media_files(root, locate(root, *folders)))
    table = read_rows(root / locate(root, f"{part}_sent_emo.csv"), encoding=encoding)
    table.require("Utterance", "Emotion", "Dialogue_ID", "Utterance_ID")
    seen: dict[str, Row] = {}
    missing = []
    for row in table.rows:
        name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        if (first := seen.setdefault(name, row)) is not row:
            raise row.error(f"duplicate utterance {name} (first in line {first.line})")
        if not row["Emotion"]:
            raise row.error("empty 'Emotion'")
        if name in files:
            yield f"{part}_{name}", files[name], row
        else:
            missing.append(name)
            notes.add("missing", f"{part}_{name}" + (" (known)" if f"{part}_{name}" in BROKEN else ""))
    for name in sorted(files.keys() - seen.keys()):
        notes.add("extra", files[name])
    if missing:
        log.warning("%s: %d utterances have no file, the first is %s", table.source, len(missing), missing[0])
