from collections import Counter

import numpy as np

from sample.forms import CLASS_OF
from sample.script import SPLITS, write_script


def test_every_split_keeps_the_imbalance_and_has_every_class(params):
    script = write_script(params)
    total = sum(params.class_counts.values())
    for split in SPLITS:
        counts = Counter(clip.label for clip in script if clip.split == split)
        size = getattr(params, split)
        assert sum(counts.values()) == size
        for label, weight in params.class_counts.items():
            assert abs(counts[label] - size * weight / total) <= 1


def test_a_split_too_small_for_the_rarest_class_has_one_of_it(params):
    script = write_script(params.model_copy(update={"labeled": 8, "unlabeled": 6, "test": 7}))
    assert {clip.label for clip in script if clip.split == "labeled"} == set(params.class_counts)


def test_names_tell_neither_class_nor_split(params):
    script = write_script(params)
    assert [clip.name for clip in script] == sorted(clip.name for clip in script)
    head = script[: len(script) // 4]
    assert {clip.split for clip in head} == set(SPLITS)
    assert {clip.label for clip in head} == set(params.class_counts)


def test_same_seed_same_script_and_another_seed_another(params):
    assert write_script(params) == write_script(params)
    assert write_script(params) != write_script(params.model_copy(update={"seed": params.seed + 1}))


def test_modalities_are_missing_and_disagree_as_often_as_the_params_say(params):
    script = write_script(params)
    share = lambda hits: sum(hits) / len(script)  # noqa: E731
    assert abs(share(clip.face is None for clip in script) - params.face.absent) < 0.02
    assert abs(share(clip.voice is None for clip in script) - params.voice.absent) < 0.02
    assert abs(share(not clip.has_text for clip in script) - params.text.absent) < 0.02
    shown = [clip for clip in script if clip.face is not None]
    agreeing = sum(clip.face.emotion == clip.label for clip in shown) / len(shown)
    assert abs(agreeing - params.face.agreement) < 0.04


def test_a_modality_is_faint_as_often_as_the_params_say_whatever_the_others_are(params):
    script = write_script(params)
    both = [clip for clip in script if clip.face and clip.voice]
    clear = np.array(
        [[clip.face.strength > params.face.faint[1], clip.voice.strength > params.voice.faint[1]] for clip in both]
    )
    np.testing.assert_allclose(clear.mean(axis=0), (params.face.clear, params.voice.clear), atol=0.05)
    assert abs(np.corrcoef(clear.T)[0, 1]) < 0.1
    assert all(clip.face.strength <= params.face.strength[1] for clip in both)


def test_face_and_voice_that_agree_with_the_label_share_its_form(params):
    agreeing = [
        clip
        for clip in write_script(params)
        if clip.face and clip.voice and clip.face.emotion == clip.voice.emotion == clip.label
    ]
    assert all(clip.face.form == clip.voice.form for clip in agreeing)
    assert {clip.face.form for clip in agreeing} == set(CLASS_OF)


def test_most_labels_are_hidden_and_speakers_are_many(params):
    script = write_script(params)
    assert params.unlabeled > 5 * params.labeled
    assert len({clip.speaker for clip in script}) > 0.9 * params.speakers
