"""Stage pretrain: contrastive pretraining on all clips, without labels, into data/models/pretrained.safetensors."""

from pathlib import Path

import pandas as pd

from mer.learning.features import read_unlabeled_features
from mer.learning.frames import about_frames
from mer.params import Params
from mer.pretraining.pretrain import pretrain
from mer.running.stage import run, write_curve


def main(params: Params) -> None:
    Path("data/models").mkdir(parents=True, exist_ok=True)
    features = read_unlabeled_features(params.model.modalities, frames=params.model.reads_frames)
    if features.frames:
        for line in about_frames(features.frames, features.present, params.model.most_frames):
            print(f"pretrain: {line}", flush=True)
    pretrained = pretrain(features, params)
    pretrained.save("data/models/pretrained.safetensors")
    write_curve("metrics/plots/pretrain.csv", pd.DataFrame(pretrained.curve))


if __name__ == "__main__":
    run(main)
