"""What each modality is worth: every one alone, every pair, all three, under one protocol.

    python -m benchmarks.modalities

Reads the features of the last `dvc repro`, trains anew on each choice of modalities with the parameters in
params.yaml, and prints a Markdown table of weighted-F1 with 95 % intervals.
"""

from __future__ import annotations

from itertools import chain, combinations

from mer.clips import read_labels, read_test_labels
from mer.evaluation.evaluate import evaluate
from mer.learning.features import read_labeled_features
from mer.params import MODALITIES, Params, load_params, parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.self_train import self_train


def scores(params: Params, modalities: tuple[str, ...]) -> list[str]:
    """Weighted-F1 with its interval, out of fold and on test, of a model that sees only `modalities`."""
    values = params.model_dump()
    values["model"]["modalities"] = modalities
    chosen = parse_params(values)
    features = read_labeled_features(modalities)
    predictions = self_train(features, pretrain(features, chosen), chosen).predictions
    clips, test_labels = read_labels("data/labels.parquet"), read_test_labels("data/test_labels.parquet")
    metrics = evaluate(predictions, clips, test_labels, params.evaluate).metrics
    return [_cell(metrics[part]) if part in metrics else "" for part in ("out_of_fold", "test")]


def _cell(part: dict[str, float]) -> str:
    return f"{part['weighted_f1']:.3f} [{part['weighted_f1_low']:.3f}, {part['weighted_f1_high']:.3f}]"


def main() -> None:
    params = load_params()
    print("| modalities | out of fold | test |\n|---|---|---|", flush=True)
    for chosen in chain.from_iterable(combinations(MODALITIES, count) for count in (1, 2, 3)):
        print(f"| {' + '.join(chosen)} | {' | '.join(scores(params, chosen))} |", flush=True)


if __name__ == "__main__":
    main()
