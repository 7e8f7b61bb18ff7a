"""Self-training on an encoder's blocks: which are weighted, what stays the same, and what a bundle keeps of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.learning.standardise import fit_standardiser
from mer.prediction.export import Classifier
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train

BLOCKS = 4
COLUMNS = [f"p_{name}" for name in CLASSES]


def with_blocks(features, make):
    """The face as `BLOCKS` blocks, made of its vectors [N, D] and a block's number."""
    own = np.concatenate([make(features.features["face"], block) for block in range(BLOCKS)], axis=1)
    own = np.where(features.present["face"][:, None], own, 0).astype(np.float32)
    return replace(features, features={**features.features, "face": own}, blocks={"face": BLOCKS})


@pytest.fixture(scope="module")
def run():
    """Only the third block knows anything of the face."""
    rng = np.random.default_rng(0)
    features = with_blocks(
        make_features(folds=4)[0], lambda x, block: x if block == 2 else 3 * rng.normal(size=x.shape)
    )
    params = small_params(self_train={"gate": False, "steps": 150})
    return features, self_train(features, pretrain(features, params), params)


def test_members_find_the_block_that_knows_something(run):
    [linear] = [members for family, members in run[1].bundle.members if family == "linear"][:1]
    shares = linear.architecture.mix["1"]
    found = (30 * linear.stack["mix.1.logits"]).softmax(dim=-1).mean(dim=0)[0]
    assert shares.logits.shape == (1, BLOCKS)
    assert found.argmax() == 2
    assert found[2] > 0.35


def test_the_bundle_comes_back_with_its_weights_and_predicts_the_same(run, tmp_path):
    features, result = run
    result.bundle.save(tmp_path)
    bundle = load_bundle(tmp_path)
    clips = (features.features, features.present, features.groups)
    found = bundle.predict(*clips)
    np.testing.assert_array_equal(found, result.bundle.predict(*clips))
    others = features.split != "labeled"
    np.testing.assert_allclose(found[others], result.predictions[COLUMNS].to_numpy()[others], atol=1e-5)


def test_what_is_exported_votes_the_same(run):
    features, result = run
    own = [torch.from_numpy(x) for x in features.features.values()]
    present = torch.from_numpy(np.stack(list(features.present.values()), axis=1))
    with torch.no_grad():
        found = Classifier(result.bundle)(own, present).numpy()
    expected = result.bundle.predict(features.features, features.present, features.groups)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_blocks_that_say_the_same_give_the_floor_of_one():
    plain = make_features(folds=4)[0]
    params = small_params(model={"kind": "logistic"})
    found = [
        self_train(one, pretrain(one, params), params).predictions[COLUMNS].to_numpy()
        for one in (plain, with_blocks(plain, lambda x, block: x))
    ]
    np.testing.assert_allclose(found[0], found[1], atol=2e-3)


def test_blocks_share_a_rotation():
    x = np.random.default_rng(1).normal(size=(50, 3 * 10)).astype(np.float32)
    fitted = fit_standardiser(x, np.ones(50, bool), 4, blocks=3)
    assert fitted.basis.shape == (10, 4)
    assert fitted.width == 12
    z = ((x - x.mean(axis=0)) / x.std(axis=0)).reshape(50, 3, 10)
    expected = np.stack([z[:, block] @ fitted.basis for block in range(3)], axis=1).reshape(50, 12)
    np.testing.assert_allclose(fitted(x, np.ones(50, bool)), expected * fitted.gain, rtol=1e-3, atol=1e-4)
    rows = torch.from_numpy(z.reshape(150, 10))
    own = torch.linalg.eigvalsh(rows.T @ rows).flip(0)[:4]
    kept = (rows @ torch.from_numpy(fitted.basis)).square().sum(dim=0)
    torch.testing.assert_close(kept, own, rtol=1e-3, atol=1e-3)  # the directions of all blocks' rows together
