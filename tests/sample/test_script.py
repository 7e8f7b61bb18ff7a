from collections import Counter

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
    agreeing = sum(clip.face == clip.label for clip in shown) / len(shown)
    assert abs(agreeing - params.face.agreement) < 0.04
