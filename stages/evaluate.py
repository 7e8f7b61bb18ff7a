"""Stage evaluate: metrics/evaluate.json, plot points, data/evaluated.parquet, and data/submission.csv."""

import pandas as pd

from mer.clips import read_labels, read_test_labels
from mer.evaluation.evaluate import evaluate, write_plots
from mer.evaluation.evaluated import evaluated_clips
from mer.evaluation.headline import headline
from mer.evaluation.robustness import robustness_curves
from mer.evaluation.submission import submission
from mer.params import Params
from mer.running.stage import run, write_curve, write_json


def main(params: Params) -> None:
    predictions = pd.read_parquet("data/predictions.parquet")
    clips, test_labels = read_labels("data/labels.parquet"), read_test_labels("data/test_labels.parquet")
    evaluation = evaluate(predictions, clips, test_labels, params.evaluate)
    write_json("metrics/evaluate.json", evaluation.metrics)
    write_plots(evaluation, "metrics/plots")
    evaluated_clips(predictions, clips, test_labels).to_parquet("data/evaluated.parquet", index=False)
    tried = pd.read_parquet("data/robustness.parquet")
    for name, points in robustness_curves(tried, clips, test_labels, params.evaluate).items():
        write_curve(f"metrics/plots/{name}.csv", points)
    submission(predictions, clips).to_csv("data/submission.csv", index=False, lineterminator="\n")
    print(headline("metrics/evaluate.json"))


if __name__ == "__main__":
    run(main)
