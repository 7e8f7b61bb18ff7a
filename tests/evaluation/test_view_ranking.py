"""The ranking of views: the informative one first, coverage and width as they are, the partner that adds most."""

from dataclasses import replace

import numpy as np
import pytest

from mer.errors import MerError
from mer.evaluation.view_ranking import rank_views, table
from tests.learning.synthetic import make_features, small_params


@pytest.fixture(scope="module")
def ranking():
    features, truth = make_features(labeled=120, folds=4, absent=0.0)
    rng = np.random.default_rng(0)
    one = (truth == 0)[:, None] + 0.3 * rng.normal(size=(len(truth), 4))  # tells one class, "other" the other two
    other = (truth == 1)[:, None] + 0.3 * rng.normal(size=(len(truth), 3))
    noise = rng.normal(size=(len(truth), 50))
    values = {"one": one, "other": other, "noise": noise}
    present = {name: np.ones(len(truth), bool) for name in values} | {"noise": np.arange(len(truth)) % 4 > 0}
    features = replace(
        features,
        features={name: of.astype(np.float32) for name, of in values.items()},
        present=present,
        modality=dict.fromkeys(values, "text"),
    )
    params = small_params()
    return rank_views(features, params.model, params.evaluate)


def test_noise_comes_last_and_its_interval_holds_chance(ranking):
    assert [of.name for of in ranking.views][-1] == "noise"
    assert ranking.views[-1].score.low < 1 / 3 + 0.05
    assert ranking.views[0].score.low > 0.4


def test_width_and_coverage_are_those_of_the_labeled_clips(ranking):
    noise = ranking.views[-1]
    assert (noise.width, noise.coverage, ranking.clips) == (50, 0.75, 120)


def test_the_partner_is_the_one_that_adds_what_the_best_lacks(ranking):
    assert {ranking.views[0].name, ranking.partner} == {"one", "other"}
    assert ranking.as_metrics()["best_pair"]["adds"] > 0.1


def test_a_corpus_without_classes_ranks_no_view_and_says_why():
    features, truth = make_features()
    features = replace(features, classes=(), labels=np.full(len(truth), -1))
    params = small_params()
    found = rank_views(features, params.model, params.evaluate).as_metrics()
    assert (found["views"], found["clips"]) == ({}, 0)
    assert table(found) == "the corpus has no classes, by which views are ranked"


def test_the_table_has_a_line_a_view_and_what_is_no_ranking_is_refused(ranking):
    lines = table(ranking.as_metrics()).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == [of.name for of in ranking.views]
    assert "over the best view alone" in lines[4]
    with pytest.raises(MerError, match="not a ranking of views"):
        table({"views": {}})
