"""Stage adapt_audio: HuBERT trained on with the corpus' own speech, test split left out, into adapt/hubert."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from mer.clips import read_clips
from mer.extraction.features import waveforms
from mer.hubert_adaptation.adapt_audio import adapt_audio
from mer.params import Params
from mer.stage import run, write_curve
from mer.store.location import cache_root
from mer.store.media import MediaFolder


def main(params: Params) -> None:
    rows, media = read_clips("data/clips.parquet").rows, MediaFolder("data/media")
    learned_from = list(rows["clip_id"][rows["split"] != "test"])
    work = cache_root() / "adapt_audio"
    curve = adapt_audio(lambda: waveforms(media, learned_from), params.adapt_audio, Path("adapt/hubert"), work=work)
    shutil.rmtree(work, ignore_errors=True)
    write_curve("adapt/curve.csv", pd.DataFrame(map(asdict, curve)))


if __name__ == "__main__":
    run(main)
