"""A table of many rows is read in seconds; `python -m benchmarks.ingest` measures 130,000."""

from __future__ import annotations

import time

from benchmarks.ingest import segments
from mer.layouts import read_corpus
from mer.params import CorpusParams

ROWS = 20_000
SECONDS = 8.0
"""Of the processor; about one is needed."""


def test_twenty_thousand_segments_are_read_in_a_few_seconds(tmp_path):
    segments(tmp_path, ROWS)
    began = time.process_time()
    corpus = read_corpus(CorpusParams(root=str(tmp_path), layout="folder"))
    assert time.process_time() - began < SECONDS
    assert len(corpus.table.rows) == ROWS
    assert corpus.table.rows["path"].nunique() == ROWS // 100
