from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from transformers import HubertModel

from mer.hubert_adaptation.speech_batches import FrameGeometry
from sample.params import load_params
from sample.train_hubert import label_with_units, tiny_config, train_hubert


@pytest.fixture(scope="module")
def params():
    small = {"units": 6, "channels": 8, "hidden": 16, "layers": 4, "heads": 2, "epochs": 2, "batch_seconds": 2.0}
    return load_params(Path(__file__).parents[2] / "sample/params.yaml").hubert.model_copy(update=small)


@pytest.fixture(scope="module")
def waveforms():
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, int(n)).astype(np.float32) for n in rng.uniform(4000, 9000, 8)]


def test_every_frame_of_the_encoder_has_a_unit(params, waveforms):
    config = tiny_config(params)
    geometry = FrameGeometry.of(config.conv_kernel, config.conv_stride)
    for utterance in label_with_units(waveforms, params):
        assert len(utterance.units) == geometry.frames(len(utterance.waveform))


def test_a_trained_hubert_can_be_loaded_from_its_folder(params, waveforms, tmp_path):
    model, scores = train_hubert(params, waveforms)
    assert len(scores) == 2
    model.save_pretrained(tmp_path)
    loaded = HubertModel.from_pretrained(tmp_path, local_files_only=True)
    assert all((a == b).all() for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


def test_the_units_do_not_depend_on_how_many_threads_there_are(params, waveforms):
    labeled = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            labeled.append(np.concatenate([utterance.units for utterance in label_with_units(waveforms, params)]))
    np.testing.assert_array_equal(*labeled)
