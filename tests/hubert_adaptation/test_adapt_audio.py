import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model

from mer.encoders.speech import load_speech_encoder
from mer.errors import MerError
from mer.hubert_adaptation.adapt_audio import adapt_audio, pieces
from mer.params import AdaptAudioParams

TINY = {
    "conv_dim": (8,) * 7,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder as chinese-hubert's are, with no mask embedding in it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    HubertModel(HubertConfig(**TINY, mask_time_prob=0.0)).save_pretrained(folder)
    return folder


def clips():
    rng = np.random.default_rng(0)
    for index, seconds in enumerate((1.0, 0.7, 16.0, 1.2)):
        yield f"clip{index}", rng.normal(0, 0.1, int(16000 * seconds)).astype(np.float32)
    yield "short", rng.normal(0, 0.1, 100).astype(np.float32)
    yield "silent", np.zeros(16000, np.float32)


def settings(encoder, **changes):
    return AdaptAudioParams(model=str(encoder), units=5, epochs=2, batch_seconds=4.0, device="cpu", **changes)


def test_the_result_is_an_encoder_folder_with_other_weights(encoder, tmp_path):
    history = adapt_audio(clips, settings(encoder), tmp_path / "adapted", work=tmp_path / "work")
    assert len(history) == 2
    waveform = next(iter(clips()))[1]
    before, after = (load_speech_encoder(f).layers([waveform])[0] for f in (encoder, tmp_path / "adapted"))
    assert before.shape == after.shape
    assert np.abs(before - after).max() > 1e-3


def test_a_killed_adaptation_ends_in_the_same_bytes(encoder, tmp_path):
    adapt_audio(clips, settings(encoder), tmp_path / "whole", work=tmp_path / "a")

    def killed(scores):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        adapt_audio(clips, settings(encoder), tmp_path / "resumed", work=tmp_path / "b", on_epoch=killed)
    assert not (tmp_path / "resumed").exists()
    epochs = []
    adapt_audio(clips, settings(encoder), tmp_path / "resumed", work=tmp_path / "b", on_epoch=epochs.append)
    assert [scores.epoch for scores in epochs] == [1]
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "resumed" / file.name).read_bytes()


def test_other_clips_do_not_resume_from_these(encoder, tmp_path):
    adapt_audio(clips, settings(encoder), tmp_path / "first", work=tmp_path)
    epochs = []
    fewer = lambda: list(clips())[1:]  # noqa: E731
    adapt_audio(fewer, settings(encoder), tmp_path / "second", work=tmp_path, on_epoch=epochs.append)
    assert len(epochs) == 2


def test_long_clips_are_cut_and_short_or_silent_ones_left_out():
    assert [(name, len(piece)) for name, piece in pieces(clips())] == [
        ("clip0@0", 16000),
        ("clip1@0", 11200),
        ("clip2@0", 240000),
        ("clip2@1", 16000),
        ("clip3@0", 19200),
    ]


@pytest.mark.parametrize(
    ("changes", "message"), [({"layer": 2}, "adapt_audio.layer"), ({"units": 30000}, "adapt_audio.units")]
)
def test_settings_that_do_not_fit_name_their_key(encoder, tmp_path, changes, message):
    params = settings(encoder).model_copy(update=changes)
    with pytest.raises(MerError, match=message):
        adapt_audio(clips, params, tmp_path / "adapted", work=tmp_path / "work")


def test_an_encoder_of_another_kind_is_refused(tmp_path):
    Wav2Vec2Model(Wav2Vec2Config(**TINY)).save_pretrained(tmp_path / "wav2vec2")
    with pytest.raises(MerError, match=r"wav2vec2, not a HuBERT .*adapt_audio\.model"):
        adapt_audio(clips, settings(tmp_path / "wav2vec2"), tmp_path / "adapted", work=tmp_path)
