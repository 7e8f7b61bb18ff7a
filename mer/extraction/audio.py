"""The extract_audio stage: speech features of every clip that has sound."""

from __future__ import annotations

from functools import partial

from mer.encoders.speech.features import SpeechFeatures
from mer.extraction.features import EncoderWorker, for_device, write_features
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done, Limits, Place
from mer.extraction.settings import deciding
from mer.media import encode
from mer.params import AudioParams, ComputeParams
from mer.store.manifest import Made

NAME = "audio"
BATCH_CLIPS = 32


def extract_audio(media: Media, params: AudioParams, compute: ComputeParams, place: Place) -> Done:
    """Write the speech features of all clips; see `mer.extraction.features.write_features`.

    Raises:
        MerError: `audio.model` is no speech encoder.
    """
    encoder = SpeechFeatures(params)
    return write_features(
        NAME,
        Made("extract_audio", encoder.fingerprint, params.model, deciding(params)),
        encoder.dimensions,
        Content(media.digests("audio_sha256"), media.audio),
        EncoderWorker(partial(SpeechFeatures, params), encode.waveform),
        Limits("audio", params.max_failed, params.max_lost),
        for_device(compute, params.device),
        place,
        batch_size=BATCH_CLIPS,
        with_frames=params.frames,
    )
