"""The extract_audio stage: speech features of every clip that has sound."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mer.clips import ClipTable
from mer.encoders.speech.features import SpeechFeatures
from mer.extraction.features import Content, EncoderWorker, for_device, load_audio, media_digests, write_features
from mer.media import encode
from mer.params import AudioParams, ComputeParams
from mer.store.fill import FillReport
from mer.store.media import MediaFolder

BATCH_CLIPS = 32


def extract_audio(
    clips: ClipTable, media: MediaFolder, params: AudioParams, compute: ComputeParams, out: Path
) -> FillReport:
    """Write the speech features of `clips` to the folder `out`; see `mer.extraction.features.write_features`.

    Raises:
        MerError: `audio.model` is no speech encoder.
    """
    return write_features(
        "audio",
        SpeechFeatures(params),
        Content(media_digests(clips, media, "audio_sha256"), partial(load_audio, media)),
        EncoderWorker(partial(SpeechFeatures, params), encode.waveform),
        for_device(compute, params.device),
        out,
        batch_size=BATCH_CLIPS,
        with_frames=params.frames,
    )
