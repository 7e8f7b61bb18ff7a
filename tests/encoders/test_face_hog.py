import numpy as np
import pytest

from mer.encoders.face.load import load_face_encoder
from mer.errors import MerError
from mer.params import FaceParams


def crops(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def test_a_clip_gets_the_same_features_alone_and_in_a_batch():
    encoder = load_face_encoder(FaceParams())
    batch = [crops(3, 1), crops(0), crops(5, 2)]
    together = encoder.encode(batch)
    for item, features in zip(batch, together, strict=True):
        assert np.array_equal(encoder.encode([item])[0].embedding, features.embedding)
    assert [features.frames for features in together] == [3, 0, 5]


def test_no_crops_are_an_absent_modality():
    features = load_face_encoder(FaceParams()).encode([crops(0)])[0]
    assert not features.ok
    assert features.note == "no face"
    assert not features.embedding.any()


def test_mean_and_deviation_are_over_the_crops():
    one = crops(1)
    encoder = load_face_encoder(FaceParams(frames=True))
    still, moving = encoder.encode([np.repeat(one, 4, axis=0), crops(4)])
    half = encoder.dimensions // 2
    assert not still.embedding[half:].any()
    assert np.allclose(moving.embedding[:half], moving.values.mean(0), atol=1e-3)
    assert np.allclose(moving.embedding[half:], moving.values.astype(np.float32).std(0), atol=1e-3)
    assert len(load_face_encoder(FaceParams(pooling="mean")).encode([one])[0].embedding) == half


def test_an_edge_shows_in_the_orientation_across_it():
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, :, 32:] = 255
    values = load_face_encoder(FaceParams(pooling="mean")).encode([image])[0].embedding.reshape(-1, 9)
    energy = (values**2).sum(0)
    assert energy[[0, 8]].sum() > 0.9 * energy.sum()  # gradient along x: the first bin, shared with its neighbour


def test_fingerprint_follows_the_pooling():
    assert load_face_encoder(FaceParams()).fingerprint != load_face_encoder(FaceParams(pooling="mean")).fingerprint


def test_an_unknown_encoder_is_named():
    with pytest.raises(MerError, match=r"face\.encoder: 'resnet' is neither"):
        load_face_encoder(FaceParams(encoder="resnet"))
