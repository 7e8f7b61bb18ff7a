"""Frames as a model reads them: in parts, standardised as vectors would be, in batches that cannot be told apart."""

import numpy as np
import pytest
import torch

import mer.learning.frames as module
from mer.learning.frames import FrameList, fit_reader, read_parts, some_of
from mer.learning.standardise import fit_standardiser
from mer.store.tables import open_frames, write_frames

CPU = torch.device("cpu")


def make(lengths, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return FrameList([rng.normal(3, 2, (n, width)).astype(np.float32) for n in lengths], width)


def test_a_long_clip_becomes_the_means_of_equal_parts_and_a_short_one_stays():
    frames = make([3, 10, 0, 4])
    values, lengths = read_parts(frames, np.arange(4), 4)
    assert lengths.tolist() == [3, 4, 0, 4]
    parts = [frames[1][start:end].mean(axis=0) for start, end in ((0, 2), (2, 5), (5, 7), (7, 10))]
    np.testing.assert_array_equal(values[:3], frames[0])
    np.testing.assert_allclose(values[3:7], parts, rtol=1e-6)
    np.testing.assert_array_equal(values[7:], frames[3])


@pytest.mark.parametrize("guessed", [False, True])
@pytest.mark.parametrize("components", [3, 16])
def test_clips_of_one_frame_are_standardised_as_vectors_are(components, guessed):
    frames, present = make([1] * 60), np.arange(60) % 7 > 0
    x, codes = np.concatenate(frames.values), np.arange(60) % 4 - 1
    vectors = fit_standardiser(x, present, components, codes, guessed=guessed)
    reader = fit_reader(frames, present, 8, components, codes, guessed=guessed)
    assert reader.most == 1
    assert (reader.standardiser.group_mean is not None) == guessed
    found = reader.inputs(frames, present, codes, CPU).read().values[:, 0].numpy()
    np.testing.assert_allclose(found[present], vectors(x, present, codes)[present], rtol=1e-3, atol=1e-4)


def test_without_groups_frames_have_zero_mean_and_unit_variance():
    frames = make([4, 9, 2, 7, 5])
    read = fit_reader(frames, np.ones(5, bool), 100, 256).inputs(frames, np.ones(5, bool), None, CPU).read()
    own = read.values[read.real]
    assert read.values.shape == (5, 9, 5)  # no longer than the longest clip
    torch.testing.assert_close(own.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(own.std(dim=0, correction=0), torch.ones(5))
    assert (read.values[~read.real] == 0).all()


def test_a_long_clip_weighs_no_more_in_its_group_than_a_short_one():
    long, short = np.full((100, 1), 5.0), np.full((2, 1), -5.0)
    several = FrameList([long, short] * 20, 1)
    reader = fit_reader(several, np.ones(40, bool), 200, 0, np.zeros(40, np.int64))
    read = reader.inputs(several, np.ones(40, bool), np.zeros(40, np.int64), CPU).read().values
    assert read[0, 0] + read[1, 0] == pytest.approx(0, abs=0.5 * float(read[0, 0] - read[1, 0]) / 2)


def test_what_a_clip_gets_does_not_depend_on_its_company():
    frames, present = make([3, 30, 1, 12, 8]), np.ones(5, bool)
    reader = fit_reader(frames, present, 10, 3)
    every = reader.inputs(frames, present, None, CPU)
    alone = every.take(np.array([2])).read()
    assert torch.equal(alone.values[0], every.read().values[2])
    again = every.take(np.array([4, 2, 2])).take(slice(1, 2)).read()
    assert torch.equal(again.values[0], alone.values[0])


def test_what_is_no_number_is_the_mean():
    frames = make([4, 4, 4])
    frames.values[1][2, 3], frames.values[1][3, 0] = np.nan, np.inf
    read = fit_reader(frames, np.ones(3, bool), 10, 0).inputs(frames, np.ones(3, bool), None, CPU).read().values
    assert torch.isfinite(read).all()
    assert read[1, 2, 3] == read[1, 3, 0] == 0


def test_columns_are_fitted_on_a_spread_of_clips_where_all_would_be_too_many(monkeypatch):
    seen = []

    class Counted(FrameList):
        def __getitem__(self, row):
            seen.append(row)
            return super().__getitem__(row)

    frames = Counted(make([10] * 100).values, 5)
    monkeypatch.setattr(module, "FIT_VALUES", 500)
    fit_reader(frames, np.ones(100, bool), 10, 0)
    assert seen[100:] == list(range(0, 100, 10))  # after their lengths


def test_frames_in_a_file_are_read_as_those_at_hand(tmp_path):
    own = [np.round(x, 2).astype(np.float16) for x in make([3, 0, 6]).values]
    write_frames(tmp_path / "frames.safetensors", own, [3, 0, 6], 5)
    mapped, present = open_frames(tmp_path / "frames.safetensors"), np.array([True, False, True])
    assert mapped.width == 5
    found = [
        fit_reader(of, present, 4, 2).inputs(of, present, None, CPU).read().values
        for of in (mapped, FrameList(own, 5), some_of(mapped, np.arange(3)))
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_frames_of_other_clips_are_refused():
    frames = make([2, 3])
    with pytest.raises(ValueError, match="frames of 2 clips, where 3"):
        fit_reader(frames, np.ones(2, bool), 4, 0).inputs(frames, np.ones(3, bool), None, CPU)


def test_what_reading_frames_leaves_out_is_counted():
    of = FrameList([np.zeros((9, 2), np.float32), None, np.zeros((2, 2), np.float32), None], 2)
    present = {"face": np.array([True, True, True, False]), "voice": np.ones(4, bool)}
    assert module.about_frames({"face": of}, present, 8) == [
        "no frames of voice are stored: read as vectors (see 'views.voice.frames')",
        "face: 1 of 3 clips have a vector and no frames: masked",
        "face: 1 of 3 clips have more than 8 frames: means of 8 parts",
    ]
    assert module.about_frames({"face": of}, {"face": np.array([True, False, True, False])}, 9) == []
