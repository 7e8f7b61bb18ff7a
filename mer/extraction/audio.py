"""A view by a speech encoder: features of every clip that has sound."""

from __future__ import annotations

from functools import partial

from mer.encoders.speech.features import SpeechFeatures
from mer.extraction.contents import read_contents
from mer.extraction.features import EncoderWorker, View, for_device, write_features
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done
from mer.media import encode
from mer.params import AudioParams, ComputeParams

BATCH_CLIPS = 32


def extract_audio(name: str, media: Media, params: AudioParams, compute: ComputeParams) -> Done:
    """Write the speech features of all clips; see `mer.extraction.features.write_features`.

    Raises:
        MerError: `model` is no speech encoder.
    """
    encoder = SpeechFeatures(params)
    return write_features(
        View(name, params, encoder),
        Content(read_contents(media.place.data, "audio"), media.audio),
        EncoderWorker(partial(SpeechFeatures, params), encode.waveform),
        for_device(compute, params.device),
        media.place,
        batch_size=BATCH_CLIPS,
    )
