"""`mer evaluate`: a bundle on another corpus, from its files to scores with intervals."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from typer.testing import CliRunner

from mer.cli import app
from mer.errors import MerError
from mer.evaluation.cross_corpus import chance
from mer.evaluation.prior_shift import adjusted, estimate_shares
from tests.bundles import TEXTS, text_bundle
from tests.media.making import write_clip

CLIPS = 24


@pytest.fixture(scope="module", name="bundle")
def bundle_fixture(tmp_path_factory):
    """Learned three classes from text."""
    return text_bundle(tmp_path_factory.mktemp("trained"))


def make_corpus(folder, labels, texts, *, groups=6, files=3):
    """Clips of a corpus in other words; the media are a few files under many names."""
    folder.mkdir()
    for number in range(files):
        write_clip(folder / f"file{number}.mp4", seconds=0.4, levels=(0.2, 0.2), rate=16_000)
    rows = ["clip_id,label,speaker,transcript"]
    for number, (label, text) in enumerate(zip(labels, texts, strict=True)):
        (folder / f"c{number:02d}.mp4").hardlink_to(folder / f"file{number % files}.mp4")
        rows.append(f"c{number:02d},{label},s{number % groups},{text}")
    for number in range(files):
        (folder / f"file{number}.mp4").unlink()
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module", name="alike")
def alike_fixture(tmp_path_factory):
    """A corpus whose texts are those of training, under other names of the classes."""
    truth = [list(TEXTS)[i % 3] for i in range(CLIPS)]
    names = {"happy": "joy", "sad": "sadness", "angry": "anger"}
    return make_corpus(
        tmp_path_factory.mktemp("alike") / "corpus", [names[one] for one in truth], [TEXTS[one] for one in truth]
    )


@pytest.fixture(scope="module", name="unrelated")
def unrelated_fixture(tmp_path_factory):
    """A corpus whose texts have nothing to do with its labels."""
    rng = np.random.default_rng(0)
    truth, said = (rng.permutation([list(TEXTS)[i % 3] for i in range(CLIPS)]) for _ in range(2))
    return make_corpus(tmp_path_factory.mktemp("unrelated") / "corpus", truth, [TEXTS[one] for one in said])


MAPPED = ["--map", "joy=happy", "--map", "sadness=sad", "--map", "anger=angry"]


def call(bundle, corpus, *options):
    options = ["--column", "group=speaker", *options]
    return CliRunner().invoke(app, ["evaluate", str(bundle), "--corpus", str(corpus), *options])


def scores(bundle, corpus, *options):
    done = call(bundle, corpus, "--json", *options)
    assert done.exit_code == 0, done.exception or done.output
    return json.loads(done.stdout)


def test_scores_are_those_of_the_predictions_that_are_written(bundle, alike, tmp_path):
    found = scores(bundle, alike, *MAPPED, "--out", str(tmp_path / "found.parquet"))
    table = pd.read_parquet(tmp_path / "found.parquet")
    assert found["weighted_f1"] == pytest.approx(
        f1_score(table["actual"], table["predicted"], average="weighted"), abs=1e-6
    )
    assert found["uar"] == pytest.approx(balanced_accuracy_score(table["actual"], table["predicted"]), abs=1e-6)
    assert found["weighted_f1_low"] <= found["weighted_f1"] <= found["weighted_f1_high"]
    assert found["weighted_f1_low"] > found["chance"]
    assert (found["clips"], found["groups"]) == (CLIPS, 6)
    assert found["ece"] > 0


def test_the_interval_covers_chance_where_nothing_carries_over(bundle, unrelated):
    found = scores(bundle, unrelated)
    assert found["weighted_f1_low"] <= found["chance"] <= found["weighted_f1_high"]


def test_people_get_lines(bundle, alike):
    done = call(bundle, alike, *MAPPED)
    assert done.exit_code == 0
    assert "weighted-F1 " in done.stdout.splitlines()[0]
    assert "24 clips in 6 groups" in done.stdout
    assert "decode: 24 clips" in done.stderr
    assert "decode" not in done.stdout


def test_clips_may_be_left_out_by_label(bundle, alike):
    found = scores(bundle, alike, *MAPPED[:4], "--map", "anger=")
    assert found["clips"] == 16
    assert found["dropped"] == {"anger": 8}
    assert found["shares"]["angry"]["actual"] == 0


def test_where_the_corpus_lacks_a_class_the_others_are_judged_among_themselves_as_well(bundle, unrelated, tmp_path):
    given = (*("--map", "angry="), "--out", str(tmp_path / "found.parquet"))
    found, table = scores(bundle, unrelated, *given), pd.read_parquet(tmp_path / "found.parquet")
    assert (table["predicted"] == "angry").any()
    among = table[["p_happy", "p_sad"]].idxmax(axis=1).str.removeprefix("p_")
    wanted = f1_score(table["actual"], among, average="weighted")
    assert found["weighted_f1_shared"] == pytest.approx(wanted, abs=1e-6)
    assert found["weighted_f1_shared_low"] <= found["weighted_f1_shared"] <= found["weighted_f1_shared_high"]
    assert found["chance_shared"] == pytest.approx(chance(table["actual"], among, ("happy", "sad")), abs=1e-6)
    assert "among happy, sad, which alone are there: " in call(bundle, unrelated, "--map", "angry=").stdout
    assert "weighted_f1_shared" not in scores(bundle, unrelated)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (),
            r"does not know: 'anger' \(8 clips\), 'joy' \(8 clips\), 'sadness' \(8 clips\); it knows happy, sad, angry",
        ),
        (("--map", "joy=glad"), "the bundle has no class 'glad'"),
        (("--map", "rage=angry"), "the corpus has no label 'rage'"),
        (("--map", "joy"), "expected a name, '='"),
        (("--map", "joy=", "--map", "sadness=", "--map", "anger="), "no clip of the corpus has a label"),
    ],
)
def test_labels_that_do_not_meet_are_named(bundle, alike, options, message):
    done = call(bundle, alike, *options)
    assert isinstance(done.exception, MerError)
    with pytest.raises(MerError, match=message):
        raise done.exception


def test_shares_are_found_where_only_they_have_changed():
    rng = np.random.default_rng(0)
    trained, there = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
    truth = rng.choice(3, 4000, p=there)
    x = rng.normal(size=(4000, 3)) + 2 * np.eye(3)[truth]  # p(x | c) is normal around 2 e_c
    probabilities = np.exp(2 * x) * trained
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = estimate_shares(probabilities, trained)
    assert np.abs(found - there).max() < 0.06
    assert np.abs(probabilities.mean(axis=0) - there).max() > 0.08
    right = [(p.argmax(axis=1) == truth).mean() for p in (probabilities, adjusted(probabilities, trained, found))]
    assert right[1] > right[0] + 0.02


def test_a_few_clips_do_not_move_the_shares_to_a_corner():
    trained = np.array([0.5, 0.5])
    found = estimate_shares(np.array([[0.6, 0.4]] * 3), trained)
    assert 0.02 < found[1] < 0.5
    assert estimate_shares(np.zeros((0, 2)), trained) is trained


def test_chance_is_what_shuffled_predictions_get_on_average():
    rng = np.random.default_rng(1)
    actual, predicted = (pd.Series(rng.choice(list("abc"), 400, p=p)) for p in ([0.6, 0.3, 0.1], [0.2, 0.3, 0.5]))
    shuffled = [f1_score(actual, rng.permutation(predicted), average="weighted") for _ in range(200)]
    assert chance(actual, predicted, ("a", "b", "c")) == pytest.approx(np.mean(shuffled), abs=0.01)


def test_a_bundle_that_learned_from_test_clips_says_so(bundle, alike, tmp_path):
    copied = shutil.copytree(bundle, tmp_path / "bundle")
    about = json.loads((copied / "bundle.json").read_text(encoding="utf-8"))
    about["extra"].setdefault("about", {})["transductive_clips"] = 7
    (copied / "bundle.json").write_text(json.dumps(about), encoding="utf-8")
    told = "the bundle learned from the features of 7 test clips of its own corpus: scores of these are transductive"
    assert told in call(copied, alike, *MAPPED).stdout
    assert told not in call(bundle, alike, *MAPPED).stdout
