"""Stage rank_views: what each view is worth by a quick linear probe, into metrics/views.json."""

from mer.evaluation.view_ranking import rank_views
from mer.learning.features import read_labeled_features
from mer.params import Params
from mer.running.stage import run, write_json


def main(params: Params) -> None:
    features = read_labeled_features(params.model.modalities)
    write_json("metrics/views.json", rank_views(features, params.model, params.evaluate).as_metrics())


if __name__ == "__main__":
    run(main)
