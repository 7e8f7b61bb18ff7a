"""Stage self_train: out-of-fold predictions, pseudo-labels, and the bundle that `mer predict` uses."""

from mer.params import Params
from mer.predict import save_bundle
from mer.pretraining.pretrain import load_pretrained
from mer.self_training.self_train import self_train
from mer.stage import read_features, run, write_curve


def main(params: Params) -> None:
    pretrained = load_pretrained("data/models/pretrained.safetensors")
    trained = self_train(read_features(params.model.modalities), pretrained, params)
    save_bundle("data/models/bundle", trained.bundle, params)
    trained.predictions.to_parquet("data/predictions.parquet", index=False)
    trained.pseudo_labels.to_parquet("data/pseudo_labels.parquet", index=False)
    write_curve("metrics/plots/self_train.csv", trained.curve)
    write_curve("metrics/plots/rounds.csv", trained.rounds)
    write_curve("metrics/plots/experts.csv", trained.experts)


if __name__ == "__main__":
    run(main)
