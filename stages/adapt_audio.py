"""Stage adapt_audio: HuBERT trained on with the corpus' own speech, test split left out, into adapt/hubert."""

import shutil
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from mer.clips import read_splits
from mer.extraction.media import open_media
from mer.hubert_adaptation.scores import EpochScores
from mer.params import Params
from mer.params.needs import ADAPTED
from mer.running.needed import is_needed, leave_out
from mer.running.stage import run, write_curve
from mer.store.location import cache_root


def main(params: Params) -> None:
    if not is_needed("adapted"):
        leave_out(Path(ADAPTED), "adapt_audio")
        write_curve("adapt/curve.csv", pd.DataFrame(columns=[field.name for field in fields(EpochScores)]))
        return
    from mer.hubert_adaptation.adapt_audio import adapt_audio  # takes seconds, for nothing where none is asked for

    rows, media = read_splits("data/splits.parquet"), open_media(params)
    learned_from = list(rows["clip_id"][rows["split"] != "test"])
    work = cache_root() / "adapt_audio"
    curve = adapt_audio(lambda: media.waveforms(learned_from), params.adapt_audio, Path(ADAPTED), work=work)
    shutil.rmtree(work, ignore_errors=True)
    write_curve("adapt/curve.csv", pd.DataFrame(map(asdict, curve)))


if __name__ == "__main__":
    run(main)
