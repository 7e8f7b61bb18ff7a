"""Stage self_train: out-of-fold predictions of classes and targets, pseudo-labels, and the bundle for `mer predict`."""

from mer.about import choice_of, describe
from mer.learning.features import read_labeled_features
from mer.params import Params
from mer.pretraining.pretrain import load_pretrained
from mer.provenance import save_bundle
from mer.running.stage import run, write_curve
from mer.self_training.train import train


def main(params: Params) -> None:
    pretrained = load_pretrained("data/models/pretrained.safetensors")
    features = read_labeled_features(params.model.modalities, frames=params.model.reads_frames)
    trained = train(features, pretrained, params)
    about = describe(params, features, trained.predictions)
    about["standardised"] = {what: str(ways) for what, ways in trained.standardised.items()}
    for what, ways in about["standardised"].items():
        print(f"self_train: for {what}, clips are standardised {ways}", flush=True)
    if trained.bundle.classes:
        print(f"self_train: chosen is {choice_of(trained.bundle)}", flush=True)
    save_bundle("data/models/bundle", trained.bundle, params, about=about)
    trained.predictions.to_parquet("data/predictions.parquet", index=False)
    of_classes = trained.of_classes
    of_classes.pseudo_labels.to_parquet("data/pseudo_labels.parquet", index=False)
    of_classes.votes.to_parquet("data/votes.parquet", index=False)
    of_classes.history.to_parquet("data/pseudo_label_history.parquet", index=False)
    write_curve("metrics/plots/self_train.csv", of_classes.curve)
    write_curve("metrics/plots/rounds.csv", of_classes.rounds)
    write_curve("metrics/plots/experts.csv", trained.experts)
    write_curve("metrics/plots/target_rounds.csv", trained.target_rounds)


if __name__ == "__main__":
    run(main)
