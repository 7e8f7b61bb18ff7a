"""Views of one modality are tokens that its encoder attends over; absent ones are masked."""

import pytest
import torch

from mer.model.mrccl import MRCCL, Direct, Encoders, Heads, LinearHeads
from mer.model.views import Views, hide_views, presence

WIDTHS = {"hubert": 5, "whisper": 3, "clip": 4}
VIEWS = Views(WIDTHS, {"hubert": "audio", "whisper": "audio", "clip": "face"})
CLASSES, WIDTH = 3, 8


def clips(count=6):
    torch.manual_seed(1)
    return [torch.randn(count, width) for width in WIDTHS.values()], torch.ones(count, 3, dtype=torch.bool)


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return Encoders(VIEWS, WIDTH, blocks=1, heads=2).eval()


def test_every_view_of_a_modality_counts_and_no_other_modality_s(encoders):
    features, present = clips()
    before = encoders(features, present)  # [M, B, W]
    for place, modality in enumerate((0, 0, 1)):
        changed = [x + (i == place) for i, x in enumerate(features)]
        after = encoders(changed, present)
        assert not torch.allclose(after[modality], before[modality], atol=1e-3)
        torch.testing.assert_close(after[1 - modality], before[1 - modality])


def test_an_absent_view_is_as_if_there_were_none(encoders):
    features, present = clips()
    present[2, 1] = False
    features[1][2] = 100
    alone = Encoders(Views({"hubert": 5, "clip": 4}, {"hubert": "audio", "clip": "face"}), WIDTH, blocks=1, heads=2)
    own = {name: of for name, of in encoders.state_dict().items() if "modality.0.project.1" not in name}
    alone.load_state_dict(own)
    found = alone([features[0][2:3], features[2][2:3]], present[2:3, [0, 2]])
    torch.testing.assert_close(encoders(features, present)[:, 2:3], found, rtol=1e-4, atol=1e-5)


def test_a_modality_without_any_view_gives_numbers_and_its_head_no_vote(encoders):
    features, present = clips()
    present[0, :2] = False
    model = MRCCL(encoders, Heads(VIEWS.modalities, CLASSES, WIDTH), Direct(VIEWS, CLASSES))
    logits = model([x * present[:, i, None] for i, x in enumerate(features)], present)
    assert torch.isfinite(logits).all()
    assert presence(present, model.sees)[0].tolist() == [False, True, True]


def test_linear_heads_look_at_each_view_each_modality_and_all():
    heads = LinearHeads(VIEWS, CLASSES)
    for weight in heads.weights:
        torch.nn.init.normal_(weight)
    features, present = clips()
    before = heads(features, present)
    assert list(VIEWS.linear_parts) == ["audio/hubert", "audio/whisper", "audio", "face", "fused"]
    after = heads([features[0] + 1, *features[1:]], present)
    changed = (after != before).any(dim=-1).all(dim=0)
    assert changed.tolist() == [True, False, True, False, True]


def test_of_one_view_a_modality_there_are_the_heads_that_there_were():
    views = Views({"audio": 2, "text": 3}, {"audio": "audio", "text": "text"})
    assert list(views.linear_parts) == list(views.modality_parts) == ["audio", "text", "fused"]
    assert list(Views({"text": 3}, {"text": "text"}).linear_parts) == ["text"]


def test_view_dropout_hides_a_share_and_never_all_that_a_clip_has_of_a_modality():
    present = torch.ones(4000, 3, dtype=torch.bool)
    present[:1000, 0] = False
    kept = torch.rand(present.shape, generator=torch.Generator().manual_seed(0)) >= 0.4
    left = hide_views(present, VIEWS, kept)
    assert (left <= present).all()
    assert left[:, 2].all()  # the only view of its modality
    assert left[:1000, 1].all()  # the only one that these clips have
    assert left[:, :2].any(dim=1).all()
    assert 0.2 < (~left[1000:, 0]).float().mean() < 0.3  # .4 * .6: where both would go, both stay


def test_frames_are_tokens_beside_an_utterance_vector(encoders):
    features, _ = clips()
    frames = torch.randn(6, 4, 5)
    mask = torch.ones(6, 5, dtype=torch.bool)
    mask[0, 2:4] = False
    encode = encoders.modality[0]
    before = encode([frames, features[1]], mask)
    frames[0, 2:] = 9
    torch.testing.assert_close(encode([frames, features[1]], mask)[0], before[0], rtol=1e-4, atol=1e-5)
    frames[0, 0] += 1
    assert not torch.allclose(encode([frames, features[1]], mask)[0], before[0])
