"""Stage adapt_audio: HuBERT trained on with the corpus' own speech, test split left out, into adapt/hubert."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from mer.clips import read_splits
from mer.extraction.media import open_media
from mer.hubert_adaptation.adapt_audio import adapt_audio
from mer.params import Params
from mer.stage import run, write_curve
from mer.store.location import cache_root


def main(params: Params) -> None:
    rows, media = read_splits("data/splits.parquet"), open_media(params)
    learned_from = list(rows["clip_id"][rows["split"] != "test"])
    work = cache_root() / "adapt_audio"
    curve = adapt_audio(lambda: media.waveforms(learned_from), params.adapt_audio, Path("adapt/hubert"), work=work)
    shutil.rmtree(work, ignore_errors=True)
    write_curve("adapt/curve.csv", pd.DataFrame(map(asdict, curve)))


if __name__ == "__main__":
    run(main)
